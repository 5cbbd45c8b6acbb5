/** What asking for a lease led to. `remainingMs` is how long the holder's lease still lasts. */
export type LockOutcome =
  { readonly kind: 'acquired'; readonly fence: number } | { readonly kind: 'held'; readonly remainingMs: number };

/**
 * Keeps one lease per key. A lease ends by itself after its `ttlMs`, by the store's clock.
 *
 * The fence of every new lease on a key is greater than that of any lease on it before: after a release, after an
 * expiry and after the store lost its data.
 *
 * Any method may reject with StoreUnavailableError (nothing happened) or OutcomeUnknownError (it may have).
 */
export interface LockStore {
  /** Asking again with the token of the running lease prolongs it to `ttlMs` and answers with the same fence. */
  acquire(key: string, token: string, ttlMs: number): Awaitable<LockOutcome>;
  /** Lets the lease end `ttlMs` from now, never earlier than before. False when `token` does not hold it now. */
  extend(key: string, token: string, ttlMs: number): Awaitable<boolean>;
  /** False, and nothing changed, when `token` does not hold the lease now. */
  release(key: string, token: string): Awaitable<boolean>;
  /** Ends the lease whoever holds it. False when nobody does. */
  forceRelease(key: string): Awaitable<boolean>;
  isHeld(key: string): Awaitable<boolean>;
}

/** What a store in this process answers at once and a server later. */
type Awaitable<T> = T | Promise<T>;
