/// <reference lib="es2024.string" />
import { createHash } from 'node:crypto';
import type { KeySpace } from '../common/keys.ts';
import type { Quota } from './rate-limit-store.interface.ts';

const LONGEST_SUBJECT = 128;
/** Stands before the SHA-256 of a subject; one that holds it is hashed itself, or it could pass for another one. */
const HASH_MARK = '#';

/** Names the counts on the server: `app:v1@ratelimit:{user:42}:otp:60000`. */
export class CountKeys {
  readonly #base: string;

  constructor(keys: KeySpace) {
    this.#base = `${keys.internal('ratelimit')}:{`;
  }

  /** The braces keep the counts of one subject in one slot of a cluster. */
  of({ id }: Quota, subject: string): string {
    return `${this.#base}${tagOf(subject)}}:${id}`;
  }
}

/** A subject of any length and content, fit for the braces of a key; different subjects stay different. */
export const tagOf = (subject: string): string => (isPlain(subject) ? subject : hashed(subject));

const isPlain = (subject: string): boolean => subject.length <= LONGEST_SUBJECT && PLAIN.test(subject);
const PLAIN = /^[^{}#\ud800-\udfff]+$/;

function hashed(subject: string): string {
  // UTF-16, because lone surrogates have no form of their own in UTF-8.
  const hash = createHash('sha256').update(subject, 'utf16le').digest('hex');
  return subject.slice(0, 40).toWellFormed().replace(/[{}]/g, '') + HASH_MARK + hash;
}
