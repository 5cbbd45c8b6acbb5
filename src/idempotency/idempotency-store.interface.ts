/** A request that wants to run, under the name of its identity. */
export interface Claim {
  /** Proves who asks: 32 characters; every question of one run carries the same. */
  readonly token: string;
  /** What the request says, to tell another one under the same key: 43 characters. */
  readonly fingerprint: string;
  /** How long the claim lasts unless it is renewed. */
  readonly leaseMs: number;
}

/** What asking to run led to. */
export type ClaimOutcome =
  | { readonly kind: 'claimed' }
  /** Another one runs; its lease ends in so long unless it is renewed. */
  | { readonly kind: 'running'; readonly remainingMs: number }
  /** Another request has been made under this name. */
  | { readonly kind: 'mismatch' }
  /** It has run, and this is what came of it. */
  | { readonly kind: 'answered'; readonly answer: Buffer };

/** What a store in this process answers at once and a server later. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Who runs under a name, and then what was answered. Each act is one step: of any number of claims for one name, in
 * any number of processes, one is granted. A claim is a lease, which ends by itself by the store's clock.
 *
 * Any method may reject with StoreUnavailableError (nothing happened) or OutcomeUnknownError (it may have).
 */
export interface IdempotencyStore {
  /** Asking again with the token of the running claim prolongs it. */
  claim(name: string, claim: Claim): Awaitable<ClaimOutcome>;
  /** Prolongs a claim, or takes it up again when nobody has come in between. False when it is somebody else's, or answered. */
  renew(name: string, claim: Claim): Awaitable<boolean>;
  /** Ends a run with its answer, unless somebody else has claimed the name by now, which is false. */
  complete(name: string, claim: Claim, answer: Buffer, ttlMs: number): Awaitable<boolean>;
  /** Ends a run that leaves nothing behind: the next one may run. False when the claim was not its own any more. */
  release(name: string, token: string): Awaitable<boolean>;
}
