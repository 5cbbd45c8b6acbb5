import { ERROR_TAG, MAP_TAG, SET_TAG, looksTagged, untag } from './codec-tags.ts';

/** Fields that a constructor would have made non-enumerable. */
const HIDDEN: ReadonlySet<string> = new Set(['cause', 'errors']);

/** Classes an error comes back as; any other keeps its name on a plain Error. */
const ERRORS: ReadonlyMap<string, (message: string) => Error> = new Map([
  ['AggregateError', (message: string) => new AggregateError([], message)],
  ...[EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map(
    (type) => [type.name, (message: string) => new type(message)] as const,
  ),
]);

/**
 * Turns the tags in freshly parsed JSON back into values, in place.
 * @throws when a tag is malformed, or the tree is deeper than the stack
 */
export function untagTree(node: unknown): unknown {
  if (typeof node === 'string') return looksTagged(node) ? untag(node) : node;
  if (typeof node !== 'object' || node === null) return node;
  return Array.isArray(node) ? untagArray(node) : untagFields(node as Record<string, unknown>);
}

function untagArray(items: unknown[]): unknown {
  const build = containerOf(items[0]);
  for (let index = build ? 1 : 0; index < items.length; index++) items[index] = untagTree(items[index]);
  return build ? build(items.slice(1)) : items;
}

function untagFields(fields: Record<string, unknown>): unknown {
  // Faster than Object.keys, and what JSON.parse made inherits nothing enumerable.
  for (const key in fields) {
    const before = fields[key];
    const after = untagTree(before);
    if (after !== before) fields[key] = after;
  }
  return fields;
}

type Build = (items: readonly unknown[]) => unknown;

function containerOf(tag: unknown): Build | undefined {
  switch (tag) {
    case MAP_TAG:
      return buildMap;
    case SET_TAG:
      return (items) => new Set(items);
    case ERROR_TAG:
      return buildError;
    default:
      return undefined;
  }
}

function buildMap(items: readonly unknown[]): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (let index = 0; index < items.length; index += 2) map.set(items[index], items[index + 1]);
  return map;
}

function buildError([name, message, extras]: readonly unknown[]): Error {
  if (typeof name !== 'string' || typeof message !== 'string') throw new TypeError('malformed error');
  const error = ERRORS.get(name)?.(message) ?? new Error(message);
  if (error.name !== name) define(error, 'name', name, false);
  define(error, 'stack', `${name}: ${message}`, false);
  for (const [key, value] of Object.entries(extras as object)) define(error, key, value, !HIDDEN.has(key));
  return error;
}

/** By definition, not assignment: a key may be `__proto__` or that of an inherited accessor. */
function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
}
