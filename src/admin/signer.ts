import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares in constant time, whatever the lengths: hashes are all of one length. */
export const areSame = (one: string, other: string): boolean => timingSafeEqual(hashOf(one), hashOf(other));

const MARK_BYTES = 8;
const CURSOR_VERSION = 1;
const CONFIRM_MS = 60_000;

/**
 * Signs what a client hands back later: where a page ended, and that it has seen what an act would do. Instances with
 * the same token accept each other's; without a token each has a secret of its own.
 */
export class Signer {
  readonly #secret: Buffer;

  constructor(token: string | null) {
    this.#secret = token === null ? randomBytes(32) : hashOf(`nestjs-keep:admin:${token}`);
  }

  /** `filter`: what was asked for; the cursor is good for nothing else. */
  cursor(position: string, filter: readonly unknown[]): string {
    const content = JSON.stringify({ v: CURSOR_VERSION, position, filter: this.#filterMark(filter) });
    return Buffer.concat([this.#mark(content, MARK_BYTES), Buffer.from(content)]).toString('base64url');
  }

  /** The position in a cursor; undefined for one that is not ours, or was made for another filter. */
  position(cursor: string, filter: readonly unknown[]): string | undefined {
    const bytes = Buffer.from(cursor, 'base64url');
    if (bytes.toString('base64url') !== cursor) return undefined;
    const content = bytes.subarray(MARK_BYTES).toString();
    const expected = this.#mark(content, MARK_BYTES);
    if (bytes.length <= MARK_BYTES || !timingSafeEqual(bytes.subarray(0, MARK_BYTES), expected)) return undefined;
    const { v, position, filter: mark } = JSON.parse(content) as { v: number; position: string; filter: string };
    return v === CURSOR_VERSION && mark === this.#filterMark(filter) ? position : undefined;
  }

  /** Good for one minute, one actor and one act. */
  confirmation(act: readonly unknown[], nowMs = Date.now()): string {
    const untilMs = nowMs + CONFIRM_MS;
    return `${untilMs.toString(36)}.${this.#mark(JSON.stringify([untilMs, ...act])).toString('base64url')}`;
  }

  isConfirmed(confirmation: string, act: readonly unknown[], nowMs = Date.now()): boolean {
    const untilMs = Number.parseInt(confirmation.split('.')[0] ?? '', 36);
    if (!(untilMs >= nowMs && untilMs <= nowMs + CONFIRM_MS)) return false;
    return areSame(confirmation, this.confirmation(act, untilMs - CONFIRM_MS));
  }

  /** A name for something that is not to be shown, the same everywhere with one token. */
  pseudonym(text: string): string {
    return this.#mark(text, MARK_BYTES).toString('hex');
  }

  #filterMark(filter: readonly unknown[]): string {
    return this.#mark(JSON.stringify(filter), MARK_BYTES).toString('base64url');
  }

  #mark(text: string, bytes = 32): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest().subarray(0, bytes);
  }
}
