/// <reference lib="es2024.string" />
import { createHash } from 'node:crypto';
import { InvalidKeyError } from './errors.ts';
import { escapeGlob } from './glob.ts';

/** How keys are named on the server. */
export interface KeyOptions {
  /** The application; nothing outside it is ever read, listed or removed. @default 'app' */
  readonly prefix?: string;
  /** The shape of what is stored: a new version starts with an empty cache. @default 'v1' */
  readonly version?: string;
  /** Stands between prefix, version and key. @default ':' */
  readonly separator?: string;
  /** Characters (UTF-16 code units) of the application's key, without prefix and version; a longer key is hashed. At least 80. @default 250 */
  readonly maxLength?: number;
}

export type ResolvedKeyOptions = Required<KeyOptions>;

export const KEY_DEFAULTS: ResolvedKeyOptions = { prefix: 'app', version: 'v1', separator: ':', maxLength: 250 };

/** Stands before the SHA-256 of a hashed key. `defineKey` encodes it, so an id cannot forge one. */
const HASH_MARK = '#';
const HASH_LENGTH = 64;

/**
 * Names everything this application keeps on a server it may share.
 *
 * `full` and `strip` translate between the application's keys and the server's; `internal` names what belongs to
 * this package, beside the application's keys: `app:v1@lock:x` is not matched by `app:v1:*`.
 *
 * A key that is too long, or that UTF-8 cannot carry (lone surrogates), is stored as its readable beginning and its
 * SHA-256: never cut off, so two keys never meet.
 */
export class KeySpace {
  readonly #base: string;
  readonly #separator: string;
  readonly #maxLength: number;
  /** What every full key of the application begins with. */
  readonly root: string;

  constructor({ prefix, version, separator, maxLength }: ResolvedKeyOptions) {
    this.#base = `${prefix}${separator}${version}`;
    this.#separator = separator;
    this.#maxLength = maxLength;
    this.root = this.#base + separator;
  }

  /**
   * The server's name of an application's key.
   * @throws InvalidKeyError for what is not a string with at least one visible character
   */
  full(key: string): string {
    return this.root + this.#fit(validKey(key));
  }

  /** The server's name of something this package keeps for itself; no pattern of the application reaches it. */
  internal(family: string, name?: string): string {
    const space = `${this.#base}@${family}`;
    return name === undefined ? space : space + this.#separator + this.#fit(validKey(name));
  }

  /**
   * The server's glob for an application's glob. A hashed key is matched by its readable beginning only.
   * @throws InvalidKeyError for an empty glob
   */
  pattern(glob: string): string {
    return escapeGlob(this.root) + validKey(glob, 'pattern');
  }

  /** The application's key of a full key (its stored form, if it was hashed), or undefined when it is not ours. */
  strip(fullKey: string): string | undefined {
    return fullKey.startsWith(this.root) ? fullKey.slice(this.root.length) : undefined;
  }

  #fit(key: string): string {
    return key.length <= this.#maxLength && key.isWellFormed() && !looksHashed(key) ? key : this.#hash(key);
  }

  #hash(key: string): string {
    const beginning = key.slice(0, this.#maxLength - HASH_LENGTH - HASH_MARK.length).toWellFormed();
    // UTF-16, because lone surrogates have no form of their own in UTF-8.
    return beginning + HASH_MARK + createHash('sha256').update(key, 'utf16le').digest('hex');
  }
}

/** A key written to look like the hash of another one is hashed itself, or it would be taken for the other. */
const looksHashed = (key: string): boolean => key.charAt(key.length - HASH_LENGTH - HASH_MARK.length) === HASH_MARK;

/** @throws InvalidKeyError for what is not a string with at least one visible character */
export function validKey(key: string, name = 'key'): string {
  if (typeof key !== 'string') throw new InvalidKeyError(`A ${name} must be a string; received ${kindOf(key)}`);
  if (key.trim() === '') throw new InvalidKeyError(`A ${name} must not be empty or blank`);
  return key;
}

/** What kind of value was received, never the value itself. */
export const kindOf = (value: unknown): string =>
  value === null ? 'null' : Number.isNaN(value) ? 'NaN' : Array.isArray(value) ? 'an array' : typeof value;

/**
 * Text that can stand inside a key without changing what the key means: letters, digits and `-_.~` stay, anything else
 * is percent-encoded as UTF-8. So no id forges a separator, a glob or the hash tag of a cluster, and different texts
 * stay different. A lone surrogate, which UTF-8 cannot carry, becomes `%uD800`.
 */
export function encodeKeyPart(text: string): string {
  if (UNRESERVED.test(text)) return text;
  const parts = text.split(/(\p{Surrogate})/u);
  return parts.map((part, index) => (index % 2 === 0 ? percentEncode(part) : `%u${hex(part)}`)).join('');
}

const UNRESERVED = /^[\w.~-]*$/;

const percentEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (found) => `%${hex(found)}`);

const hex = (character: string): string => character.charCodeAt(0).toString(16).toUpperCase();
