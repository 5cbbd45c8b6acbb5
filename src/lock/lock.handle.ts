import type { Duration } from '../common/duration.ts';
import { isStoreFailure } from '../common/errors.ts';
import { type Lease, leaseEnd } from './lock-lease.ts';
import { leaseMs } from './lock-request.ts';
import type { LockStore } from './lock-store.interface.ts';
import { LockLostError, LockUnavailableError } from './lock.errors.ts';

/**
 * A held lock. It is a lease: when the process stalls or loses the server for longer than the lease, somebody else
 * is let in. Stop when `signal` aborts, and pass `fence` to what you write to, so that it can refuse a late writer.
 *
 * @publicApi
 */
export interface Lock {
  readonly resource: string;
  /** Proves who holds the lock; 128 random bits. */
  readonly token: string;
  /** Grows with every lock taken on this resource, also after the server lost its data. */
  readonly fence: number;
  /** When the lease ends unless it is extended, in milliseconds since the epoch by this machine's clock. */
  readonly expiresAt: number;
  /** Taken without the server: other processes may hold the same lock. */
  readonly degraded: boolean;
  /** Aborts, with a LockLostError, when the lock is lost: before anybody else can have it if only time passed. */
  readonly signal: AbortSignal;
  /**
   * Lets the lease last `ttl` (by default what it was taken for) from now, never shorter than before.
   * @throws LockLostError when it is no longer ours; LockUnavailableError when the server does not answer
   */
  extend(ttl?: Duration): Promise<void>;
  /** Gives the lock back. False when it was not ours any more, or the server did not answer; it then ends by itself. */
  release(): Promise<boolean>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface LockHandleSetup {
  readonly resource: string;
  readonly lease: Lease;
  readonly store: LockStore;
  /** Prolong the lease until it is released. */
  readonly extend: boolean;
  readonly degraded: boolean;
}

/** Parts of the ttl after which the lease is renewed, and after which a renewal without an answer is repeated. */
const RENEWAL_PART = 1 / 3;
const RETRY_PART = 1 / 9;

/** Keeps a lease and watches over it, by this process's monotonic clock, until it is released or lost. */
export class LockHandle implements Lock {
  readonly resource: string;
  readonly degraded: boolean;
  readonly #lease: Lease;
  readonly #store: LockStore;
  readonly #lost = new AbortController();
  #isReleased = false;
  /** By `performance.now()`, which no one can set back. */
  #endsAt = 0;
  #expiresAt = 0;
  #endTimer: NodeJS.Timeout | undefined;
  #renewalTimer: NodeJS.Timeout | undefined;

  constructor({ resource, lease, store, extend, degraded }: LockHandleSetup) {
    this.resource = resource;
    this.degraded = degraded;
    this.#lease = lease;
    this.#store = store;
    this.#holdUntil(lease.endsAt);
    this.#watchEnd();
    if (extend) this.#renewIn(lease.ttlMs * RENEWAL_PART);
  }

  get token(): string {
    return this.#lease.token;
  }

  get fence(): number {
    return this.#lease.fence;
  }

  get expiresAt(): number {
    return this.#expiresAt;
  }

  /** Looks at the clock itself: after a stalled event loop the caller may be here before any timer has run. */
  get signal(): AbortSignal {
    if (!this.#isReleased && performance.now() >= this.#endsAt) this.#lose();
    return this.#lost.signal;
  }

  async extend(ttl?: Duration): Promise<void> {
    const ttlMs = ttl === undefined ? this.#lease.ttlMs : leaseMs(ttl, 'ms');
    this.#assertHeld();
    try {
      await this.#prolong(ttlMs);
    } catch (error) {
      throw isStoreFailure(error) ? new LockUnavailableError(this.resource, error) : error;
    }
    this.#assertHeld();
  }

  async release(): Promise<boolean> {
    if (this.#isReleased) return false;
    const wasLost = this.signal.aborted;
    this.#isReleased = true;
    this.#stopTimers();
    try {
      const wasOurs = await this.#store.release(this.#lease.key, this.token);
      // Somebody took the lock away while the lease was still running: the work was not protected to its end.
      if (!wasOurs && performance.now() < this.#endsAt) this.#lose();
      return wasOurs && !wasLost;
    } catch {
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Asks for a new end of the lease; an answer that comes after the lock was released or lost means nothing. */
  async #prolong(ttlMs: number): Promise<void> {
    const endsAt = leaseEnd(performance.now(), ttlMs);
    const isOurs = await this.#store.extend(this.#lease.key, this.token, ttlMs);
    if (this.#isOver()) return;
    if (isOurs) this.#holdUntil(Math.max(this.#endsAt, endsAt));
    else this.#lose();
  }

  #holdUntil(endsAt: number): void {
    this.#endsAt = endsAt;
    this.#expiresAt = Math.round(Date.now() + endsAt - performance.now());
  }

  #renewIn(delayMs: number): void {
    this.#renewalTimer = setTimeout(() => void this.#renew(), delayMs).unref();
  }

  async #renew(): Promise<void> {
    if (this.#isOver()) return;
    const { ttlMs } = this.#lease;
    const nextPart = await this.#prolong(ttlMs).then(
      () => RENEWAL_PART,
      () => RETRY_PART,
    );
    if (!this.#isOver()) this.#renewIn(ttlMs * nextPart);
  }

  /** One timer for the whole life of the lock: it looks again later when the lease was extended meanwhile. */
  #watchEnd(): void {
    const check = () => (this.signal.aborted ? undefined : this.#watchEnd());
    this.#endTimer = setTimeout(check, this.#endsAt - performance.now()).unref();
  }

  #lose(): void {
    this.#stopTimers();
    this.#lost.abort(new LockLostError(this.resource));
  }

  #stopTimers(): void {
    clearTimeout(this.#endTimer);
    clearTimeout(this.#renewalTimer);
  }

  #assertHeld(): void {
    if (this.#isOver()) throw new LockLostError(this.resource);
  }

  #isOver(): boolean {
    return this.#isReleased || this.signal.aborted;
  }
}
