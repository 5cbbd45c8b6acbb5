import { randomText } from '../common/random-text.ts';
import type { LockOutcome } from './lock-store.interface.ts';

/** A lease that was granted, and what its holder needs to keep it. */
export interface Lease {
  readonly kind: 'acquired';
  readonly key: string;
  readonly token: string;
  readonly ttlMs: number;
  readonly limit: number;
  /** Its fence may be raised to that of other resources. */
  readonly isOfSeveral: boolean;
  fence: number;
  /** Until when the holder may count on it, by `performance.now()`, which no one can set back. */
  endsAt: number;
}
export type Held = Extract<LockOutcome, { kind: 'held' }>;

const TOKEN = /^[0-9a-f]{32}$/;
const TOKEN_BYTES = 16;

/** 128 random bits, never given twice. */
export const newToken = (): string => randomText(TOKEN_BYTES, 'hex');

export const isToken = (token: unknown): token is string => typeof token === 'string' && TOKEN.test(token);

/**
 * When a holder stops counting on a lease it asked for at `askedAt`. The store counts from when the request arrived,
 * which is later; what is taken off is for clocks that run at different speeds, for the store's rounding, and so
 * that the work can stop before somebody else is let in.
 */
export const leaseEnd = (askedAt: number, ttlMs: number): number =>
  askedAt + ttlMs - Math.min(ttlMs / 2, 2 + ttlMs / 100);
