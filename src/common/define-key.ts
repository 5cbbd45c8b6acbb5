import { InvalidKeyError } from './errors.ts';
import { escapeGlob } from './glob.ts';
import { encodeKeyPart, kindOf } from './keys.ts';

/** What names one thing. It becomes text, as in a URL: `1` and `'1'` name the same. A Date becomes its ISO form. */
export type KeyPart = string | number | bigint | boolean | Date;

/** The names in the braces of a template: `'userId' | 'page'` for `'feed:{userId}:{page}'`. */
export type KeyParameters<Template extends string> = string extends Template
  ? string
  : Template extends `${string}{${infer Name}}${infer Rest}`
    ? Name | KeyParameters<Rest>
    : never;

/** A family of keys, see `defineKey`. */
export interface KeyDefinition<Name extends string> {
  /** @throws InvalidKeyError for a parameter that is missing, `null`, `NaN` or an object */
  (...values: [Name] extends [never] ? [] : [values: Readonly<Record<Name, KeyPart>>]): string;

  /** A glob for the keys with these parameters and any others. As `*` stops at nothing, it also finds longer keys. */
  readonly pattern: (values?: Readonly<Partial<Record<Name, KeyPart>>>) => string;

  /** The parameters of a key, as text, or undefined for what this definition does not build. */
  readonly parse: (key: string) => Record<Name, string> | undefined;
}

/**
 * Declares keys that differ in named parameters.
 *
 * ```ts
 * const userProfile = defineKey('profile:user:{userId}');
 * userProfile({ userId: 42 });         // 'profile:user:42'
 * userProfile.pattern();               // 'profile:user:*'
 * userProfile.parse('profile:user:42') // { userId: '42' }
 * ```
 *
 * Values are percent-encoded, so an id cannot forge a separator, a glob or a hash tag, and different parameters always
 * give different keys.
 * @throws InvalidKeyError for braces that do not pair, or two parameters with nothing between that tells them apart
 * @publicApi
 */
export function defineKey<const Template extends string>(template: Template): KeyDefinition<KeyParameters<Template>> {
  const form = new KeyForm(template);
  const build = (values: KeyValues = {}): string => form.build(values);
  return Object.assign(build, {
    pattern: (values: KeyValues = {}) => form.pattern(values),
    parse: (key: string) => form.parse(key) as Record<KeyParameters<Template>, string> | undefined,
  });
}

/**
 * A glob whose literal parts are the glob and whose values stand for themselves: an id of `*` finds only the key of
 * that id. Unlike `defineKey(…).pattern()` it does not percent-encode: it finds keys that were put together by hand,
 * `` `feed:user:${id}:page:1` ``. A backslash in the literal parts escapes, as in any glob.
 * @publicApi
 */
export const pattern = (glob: TemplateStringsArray, ...values: readonly KeyPart[]): string =>
  String.raw(glob, ...values.map((value, index) => escapeGlob(textOf(value, `value ${index + 1} of a pattern`))));

type KeyValues = Readonly<Record<string, KeyPart | undefined>>;

/** Punctuation that encoded values may hold. Any other stands only in the template. */
const UNRESERVED_PUNCTUATION = ['-', '.', '_', '~'] as const;

/** A template taken apart: `literals` has one more than `names`. */
export class KeyForm {
  readonly #literals: readonly string[];
  readonly names: readonly string[];
  /** Punctuation that is encoded in values because it separates two of them here. */
  readonly #separators: readonly string[];
  readonly #shape: RegExp;

  constructor(private readonly template: string) {
    const parts = template.split(/\{([^{}]+)\}/);
    this.#literals = parts.filter((_, index) => index % 2 === 0);
    this.names = parts.filter((_, index) => index % 2 === 1);
    if (this.#literals.some((literal) => /[{}]/.test(literal))) this.#reject('its braces must hold one name each');
    this.#separators = this.#literals.slice(1, -1).flatMap((literal) => this.#separatorsIn(literal));
    this.#shape = this.#compile();
  }

  build(values: KeyValues): string {
    let key = this.beginning;
    for (const [index, name] of this.names.entries()) key += this.part(values[name], index);
    return key;
  }

  pattern(values: KeyValues): string {
    // A parameter that is given as undefined is somebody's missing id: it must not become "any".
    const parts = this.names.map((name) => (Object.hasOwn(values, name) ? this.#encode(values[name], name) : '*'));
    const [first = '', ...rest] = this.#literals.map(escapeGlob);
    return first + rest.map((literal, index) => (parts[index] ?? '') + literal).join('');
  }

  parse(key: string): Record<string, string> | undefined {
    const match = this.#shape.exec(key);
    if (!match) return undefined;
    const values = Object.fromEntries(this.names.map((name, index) => [name, decodeKeyPart(match[index + 1] ?? '')]));
    // Building it again tells whether this is how we write it, also when a name stands twice in the template.
    return this.build(values) === key ? values : undefined;
  }

  /** What stands before the first parameter. */
  get beginning(): string {
    return this.#literals[0] ?? '';
  }

  /** A parameter's value, and what stands behind it. */
  part(value: unknown, index: number): string {
    return this.#encode(value, this.names[index] ?? '') + (this.#literals[index + 1] ?? '');
  }

  #encode(value: unknown, name: string): string {
    // Digits need no encoding and separate nothing; most parameters are ids.
    if (Number.isSafeInteger(value) && (value as number) >= 0) return String(value);
    const encoded = encodeKeyPart(typeof value === 'string' ? value : textOf(value, `{${name}} of '${this.template}'`));
    if (this.#separators.length === 0) return encoded;
    return this.#separators.reduce((text, separator) => text.replaceAll(separator, percent(separator)), encoded);
  }

  /** Nothing to encode where a character separates that no encoded value holds, such as `:`. */
  #separatorsIn(literal: string): string[] {
    if (/[^\w.~%-]/.test(literal)) return [];
    const separators = UNRESERVED_PUNCTUATION.filter((character) => literal.includes(character));
    if (separators.length === 0) this.#reject("put a ':' between two parameters, or their values run together");
    return separators;
  }

  #compile(): RegExp {
    const punctuation = UNRESERVED_PUNCTUATION.filter((character) => !this.#separators.includes(character));
    const value = `([A-Za-z0-9%${punctuation.map(escapeRegExp).join('')}]*)`;
    return new RegExp(`^${this.#literals.map(escapeRegExp).join(value)}$`);
  }

  #reject(reason: string): never {
    throw new InvalidKeyError(`defineKey('${this.template}'): ${reason}`);
  }
}

/** @throws InvalidKeyError for what names nothing */
function textOf(value: unknown, subject: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  throw new InvalidKeyError(`${subject} must be text, a finite number, a boolean or a date; received ${kindOf(value)}`);
}

/** The text that `encodeKeyPart` was given; any other text where it cannot have been that. */
function decodeKeyPart(encoded: string): string {
  try {
    const parts = encoded.split(/%u([0-9A-F]{4})/);
    return parts.map((part, index) => (index % 2 === 0 ? decodeURIComponent(part) : fromHex(part))).join('');
  } catch {
    return encoded;
  }
}

const fromHex = (digits: string): string => String.fromCharCode(parseInt(digits, 16));
const percent = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
const escapeRegExp = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
