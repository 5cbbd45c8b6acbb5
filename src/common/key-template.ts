import { KeyForm, type KeyPart } from './define-key.ts';
import { kindOf } from './keys.ts';

/** `{user.id}` in a template: a root and the way from there. */
export interface Placeholder {
  /** As written, without the braces. */
  readonly path: string;
  readonly root: string;
  readonly properties: readonly string[];
}

/** A key with placeholders, as decorators take it: `user:{0.id}`, `order:create:{user.id}`. */
export interface KeyTemplate {
  readonly source: string;
  readonly placeholders: readonly Placeholder[];
  /**
   * The key of one call. Values are encoded as `defineKey` does it, so no id can forge a separator or a glob.
   * @param rootOf what the root of the placeholder with this index stands for in this call
   * @param unresolved called for a placeholder without a usable value: it has to throw, because an entry or a lock
   *   named by nothing would be everybody's
   */
  readonly fill: (
    rootOf: (root: string, index: number) => unknown,
    unresolved: (placeholder: Placeholder, found: string) => never,
  ) => string;
}

const PATH = /^[\p{ID_Continue}$]+(?:\.[\p{ID_Continue}$]+)*$/u;

/** @throws InvalidKeyError for braces that do not pair, or placeholders that nothing tells apart */
export function parseTemplate(source: string): KeyTemplate {
  const form = new KeyForm(source);
  const placeholders = form.names.map(placeholderOf);
  return {
    source,
    placeholders,
    fill(rootOf, unresolved) {
      let key = form.beginning;
      for (const [index, placeholder] of placeholders.entries()) {
        const value = follow(rootOf(placeholder.root, index), placeholder.properties);
        key += form.part(isPart(value) ? value : unresolved(placeholder, foundIn(value)), index);
      }
      return key;
    },
  };
}

/** `{ a }` and `{a-b}` keep their text as root: the caller will not know such a root and says so. */
function placeholderOf(path: string): Placeholder {
  const [root = path, ...properties] = PATH.test(path) ? path.split('.') : [path];
  return { path, root, properties };
}

function follow(root: unknown, properties: readonly string[]): unknown {
  let value = root;
  for (const property of properties) {
    if (value === null || typeof value !== 'object') return undefined;
    value = (value as Record<string, unknown>)[property];
  }
  return value;
}

/** Only what names one thing: no objects, no lists, nothing empty. */
function isPart(value: unknown): value is KeyPart {
  if (typeof value === 'string') return value !== '';
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return true;
  return value instanceof Date && !Number.isNaN(value.getTime());
}

const foundIn = (value: unknown): string => (value === '' ? 'empty' : kindOf(value));
