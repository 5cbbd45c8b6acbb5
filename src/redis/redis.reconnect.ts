import { replyCodeOf } from './redis.outcome.ts';

const FIRST_DELAY_MS = 20;
const SECOND_DELAY_MS = 100;
const LONGEST_DELAY_MS = 1_000;

/** Answers of a server that is not (or not yet) the primary: the address may lead to the right one by now. */
const STALE_PRIMARY: ReadonlySet<string | undefined> = new Set(['READONLY', 'LOADING', 'MASTERDOWN']);
const RECONNECT_AT_MOST_EVERY_MS = 5_000;

/**
 * How long to wait before attempt 1, 2, 3 … to connect again: up to 20 ms, then 50–100 ms, doubling up to 0.5–1 s.
 * The spread keeps processes that lost the same server from coming back in the same instant.
 */
export function reconnectDelayMs(attempt: number): number {
  if (attempt <= 1) return Math.random() * FIRST_DELAY_MS;
  const longest = Math.min(SECOND_DELAY_MS * 2 ** (attempt - 2), LONGEST_DELAY_MS);
  return longest * (0.5 + Math.random() / 2);
}

/** Says when an error reply is a reason to connect again, and keeps a replica that stays one from causing a loop. */
export class StalePrimaryPolicy {
  private lastReconnectAt = -Infinity;

  readonly shouldReconnect = (error: unknown): boolean => STALE_PRIMARY.has(replyCodeOf(error)) && this.mayReconnect();

  /** Whether the last time is long enough ago; if so, this is the last time from now on. */
  mayReconnect(): boolean {
    const now = performance.now();
    if (now - this.lastReconnectAt < RECONNECT_AT_MOST_EVERY_MS) return false;
    this.lastReconnectAt = now;
    return true;
  }
}
