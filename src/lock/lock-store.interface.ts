/**
 * What asking for a lease led to. `next` is a lease, too, but one that follows another holder's: who asked sees to it
 * that nobody works under it before that one is given back. `remainingMs` is how long those in the way may still hold
 * theirs.
 */
export type LockOutcome =
  | { readonly kind: 'acquired' | 'next'; readonly fence: number }
  | { readonly kind: 'held'; readonly remainingMs: number };

/** A lease that is asked for. */
export interface LeaseClaim {
  /** Proves who asks; every question for one lease carries the same. */
  readonly token: string;
  readonly ttlMs: number;
  /** How many may hold the key at a time, as far as this holder is concerned: 1 is a lock, more are shared. */
  readonly limit: number;
  /** The least fence the lease may get. */
  readonly atLeast?: number;
}

/** A place in the queue of a key. */
export interface Turn {
  /** How long ago the first question was: who asked first is served first. */
  readonly askedMsAgo: number;
  /** For how long the place is kept unless it is asked for again. */
  readonly keepMs: number;
  /** How many callers stand behind this place. */
  readonly callers: number;
  /**
   * The token of a holder in the same process, which would like to be followed by this one. It is, unless one of them
   * would share the key or somebody else is in front by more than `SLACK_MS`.
   */
  readonly after?: string;
}

export interface HandOver {
  /** Whether the token held a lease that has ended now. */
  readonly wasHeld: boolean;
  readonly next: LockOutcome;
}

/** What is known about a key that is held. */
export interface HeldKey {
  readonly key: string;
  /** Of the lease granted last. */
  readonly token: string;
  readonly fence: number;
  /** How long it is held unless somebody prolongs it. */
  readonly remainingMs: number;
  /** Callers in the queue. */
  readonly waiters: number;
}

export interface HeldKeysPage {
  readonly items: readonly HeldKey[];
  /** Where the next page begins; null on the last one. */
  readonly cursor: string | null;
}

/** Hears of a lease that was handed to a waiting token; of none in particular when such words may have been missed. */
export type HandOffListener = (token?: string) => void;

/**
 * Keeps leases by key: one at a time, or several where all holders of a key allow it (`limit`). A lease ends by itself
 * after its `ttlMs`, by the store's clock.
 *
 * Who finds a key held may take a place in its queue. When a lease ends the store hands the key to the first place,
 * under a lease of `CLAIM_MS`, and tells the listeners of that process; who is told asks again and gets the whole ttl.
 *
 * The fence of every new lease on a key is greater than that of any lease on it before: after a release, after an
 * expiry and after the store lost its data.
 *
 * Any method may reject with StoreUnavailableError (nothing happened) or OutcomeUnknownError (it may have).
 */
export interface LockStore {
  /**
   * Asking again with the token of the running lease prolongs it to `ttlMs` and answers with the same fence. With a
   * `turn` a place in the queue is taken, or kept; without, those in the queue go first.
   */
  acquire(key: string, claim: LeaseClaim, turn?: Turn): Awaitable<LockOutcome>;
  /** Lets the lease end `ttlMs` from now, never earlier than before. False when `token` does not hold it now. */
  extend(key: string, token: string, ttlMs: number): Awaitable<boolean>;
  /** Ends a lease, or leaves the queue. False when `token` does not hold a lease now. */
  release(key: string, token: string): Awaitable<boolean>;
  /** Ends a lease and asks for the next one, which goes before those that asked up to `SLACK_MS` earlier. */
  handOver(key: string, token: string, claim: LeaseClaim, turn: Turn): Awaitable<HandOver>;
  /** Ends all leases of the key whoever holds them. False when nobody does. */
  forceRelease(key: string): Awaitable<boolean>;
  isHeld(key: string): Awaitable<boolean>;
  /** How many replicas have all that was written to this key, asked for until there are `wanted` of them or time is up. */
  replicated(key: string, wanted: number): Awaitable<number>;
  /**
   * Held keys that match a glob, at most `limit` of them; every key that is held all the while is on one of the pages.
   * @param cursor where a page before this one ended
   * @throws InvalidOptionsError for a cursor that no page had
   */
  list(glob: string, cursor: string | undefined, limit: number): Awaitable<HeldKeysPage>;
  /** Resolves when hand-offs to this process are heard. */
  listen(listener: HandOffListener): Promise<void>;
}

/** A lease that was handed over ends after this unless its new holder asks for it. */
export const CLAIM_MS = 1_000;
/** A place in the queue of which nothing is heard for this long is given up. */
export const SILENCE_MS = 2_000;
/**
 * A process may serve its own callers before those of another one that asked up to this much earlier: every change of
 * the process costs two trips more. Nobody waits for more than those who asked in that time.
 */
export const SLACK_MS = 20;

/** What a store in this process answers at once and a server later. */
export type Awaitable<T> = T | Promise<T>;
