export interface Quota {
  /** Units that may be spent within any window. */
  readonly limit: number;
  readonly windowMs: number;
}

/** Where a subject stands after a call was judged. */
export interface QuotaState {
  readonly allowed: boolean;
  /** Units that may still be spent now. */
  readonly remaining: number;
  /** Until the whole quota is there again if nobody calls meanwhile. */
  readonly resetMs: number;
  /** Until the same call would be admitted if nobody calls meanwhile; 0 when it was. */
  readonly retryAfterMs: number;
}

/**
 * Counts what was spent per key. Over no window of `windowMs` are more than `limit` units admitted, by the store's
 * clock and over all processes that share the store.
 *
 * Any method may reject with StoreUnavailableError or OutcomeUnknownError.
 */
export interface RateLimitStore {
  /** Spends `cost` units if all of them fit, else none. `cost` is at most the limit. */
  consume(key: string, quota: Quota, cost: number): Awaitable<QuotaState>;
  /** What `consume` of one unit would answer; spends nothing. */
  check(key: string, quota: Quota): Awaitable<QuotaState>;
  /** Forgets what was spent. */
  reset(key: string): Awaitable<void>;
}

/** What a store in this process answers at once and a server later. */
type Awaitable<T> = T | Promise<T>;
