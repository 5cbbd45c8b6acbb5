import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isOutcomeUnknownError, OutcomeUnknownError } from '../common/errors.ts';
import type { LockRequest } from './lock-request.ts';
import type { LockOutcome, LockStore } from './lock-store.interface.ts';

/** A lease that was granted, and what its holder needs to keep it. */
export interface Lease {
  readonly kind: 'acquired';
  readonly key: string;
  readonly token: string;
  readonly fence: number;
  readonly ttlMs: number;
  /** Until when the holder may count on it, by `performance.now()`. */
  readonly endsAt: number;
}
export type Held = Extract<LockOutcome, { kind: 'held' }>;

const TOKEN_BYTES = 16;
const TOKEN = /^[0-9a-f]{32}$/;

export const isToken = (token: unknown): token is string => typeof token === 'string' && TOKEN.test(token);

/**
 * When a holder stops counting on a lease it asked for at `askedAt`. The store counts from when the request arrived,
 * which is later; what is taken off is for clocks that run at different speeds, for the store's rounding, and so
 * that the work can stop before somebody else is let in.
 */
export const leaseEnd = (askedAt: number, ttlMs: number): number =>
  askedAt + ttlMs - Math.min(ttlMs / 2, 2 + ttlMs / 100);

/** Asks until the lease is granted or the wait is over, at least once; rejects with the signal's reason on abort. */
export const acquireLease = (store: LockStore, key: string, request: LockRequest): Promise<Lease | Held> =>
  new LeaseSearch(store, key, request).run();

/** One caller's search for one lease. Every question carries the same token, so none can lose to another. */
class LeaseSearch {
  readonly #token = randomBytes(TOKEN_BYTES).toString('hex');
  readonly #giveUpAt: number;

  constructor(
    private readonly store: LockStore,
    private readonly key: string,
    private readonly request: LockRequest,
  ) {
    this.#giveUpAt = performance.now() + request.waitMs;
  }

  async run(): Promise<Lease | Held> {
    for (;;) {
      this.request.signal?.throwIfAborted();
      const outcome = await this.#askUntilCertain();
      if (outcome.kind === 'held') {
        if (this.#leftMs <= 0) return outcome;
        await this.#pause(outcome.remainingMs);
      } else {
        if (!this.#isAborted) return outcome;
        void this.#giveBack();
      }
    }
  }

  /**
   * When an answer was lost, nobody knows whether the lease is ours. Asking again settles it, and is done while there
   * is time for another question of that length; after that the lease is given back and the failure is the caller's.
   */
  async #askUntilCertain(): Promise<Lease | Held> {
    let isUncertain = false;
    for (;;) {
      const askedAt = performance.now();
      try {
        return await this.#ask();
      } catch (error) {
        isUncertain ||= isOutcomeUnknownError(error);
        if (!isUncertain) throw error;
        const tookMs = performance.now() - askedAt;
        if (this.#leftMs <= tookMs || this.#isAborted) {
          void this.#giveBack();
          throw error;
        }
      }
      await this.#pause();
    }
  }

  async #ask(): Promise<Lease | Held> {
    const { ttlMs } = this.request;
    const endsAt = leaseEnd(performance.now(), ttlMs);
    const outcome = await this.store.acquire(this.key, this.#token, ttlMs);
    if (outcome.kind === 'held') return outcome;
    if (performance.now() < endsAt) return { ...outcome, key: this.key, token: this.#token, ttlMs, endsAt };
    throw new OutcomeUnknownError('lock.acquire', 'the lease had ended when the answer came');
  }

  /** Nobody waits for this: whoever asked has waited long enough. */
  async #giveBack(): Promise<void> {
    try {
      await this.store.release(this.key, this.#token);
    } catch {
      // It ends by itself.
    }
  }

  /** Between half the retry delay and all of it, at random, so that waiters do not ask in step; ends early on abort. */
  async #pause(atMostMs = Infinity): Promise<void> {
    const { retryDelayMs, signal } = this.request;
    const jitteredMs = retryDelayMs * (0.5 + Math.random() / 2);
    const pauseMs = Math.max(1, Math.min(jitteredMs, atMostMs, this.#leftMs));
    await sleep(pauseMs, undefined, signal && { signal }).catch(() => undefined);
  }

  get #leftMs(): number {
    return this.#giveUpAt - performance.now();
  }

  get #isAborted(): boolean {
    return this.request.signal?.aborted === true;
  }
}
