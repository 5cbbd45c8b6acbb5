import { bytesOfText } from '../common/bounded-map.ts';
import { decode, type Unpacked } from '../common/codec.ts';
import type { Stamps } from './cache-entry.ts';

/** An entry in this process. Times are milliseconds since the tier was made: small integers need no memory of their own. */
export interface HeldEntry extends Unpacked {
  /** Empty while the value is kept parsed instead. */
  payload: string | Buffer;
  readonly stamps: Stamps;
  readonly costMs: number;
  readonly freshUntilMs: number;
  readonly keptUntilMs: number;
  readonly servedUntilMs: number;
  /**
   * Made while the server was away: nobody else's invalidation can have reached it. It is not compared with versions,
   * but belongs to its time: 0 for what the server knows of, `OWN` for what it is not to know of.
   */
  readonly aloneIn: number;
  /** The value, where nobody can change it: text, numbers, `null`. */
  readonly primitive: unknown;
  /** What all readers with `read: 'frozen'` share, once one of them has asked. */
  frozen: unknown;
  /** Parsed, for copies to be made of, once a second reader has asked for one. */
  master: unknown;
  /** What becomes of the next reader who wants a copy: it is the first one, a later one, or each parses for itself. */
  copying: 'first' | 'again' | 'parse';
  /** `CacheTags.moment` when its stamps were last compared. */
  checkedAt: number;
}

/** `HeldEntry.aloneIn` of what is kept in this process only, because the caller wants it so. */
export const OWN = -1;
/** Room that an entry takes beside its payload, its node in the map not counted. */
export const HELD_BYTES = 136;

export const sizeOf = (payload: string | Buffer): number =>
  typeof payload === 'string' ? bytesOfText(payload) : payload.length;

/** What it was unpacked from, made anew while the value is kept parsed instead. */
export function payloadOf({ payload, master, frozen }: HeldEntry): string | Buffer {
  const parsed = master ?? frozen;
  return payload === '' && parsed !== undefined ? JSON.stringify(parsed) : payload;
}

export const decoded = (held: HeldEntry): unknown =>
  held.isPlainJson ? (JSON.parse(payloadOf(held) as string) as unknown) : decode(held.codec, held.payload);
