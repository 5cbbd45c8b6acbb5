import type { Duration } from '../common/duration.ts';
import { isStoreFailure } from '../common/errors.ts';
import { type Lease, leaseEnd } from './lock-lease.ts';
import type { LockLines } from './lock-lines.ts';
import { leaseMs, type LockRequest } from './lock-request.ts';
import type { LockStore } from './lock-store.interface.ts';
import { LockLostError, LockUnavailableError } from './lock.errors.ts';

/**
 * A held lock. It is a lease: when the process stalls or loses the server for longer than the lease, somebody else
 * is let in. Stop when `signal` aborts, and pass `fence` to what you write to, so that it can refuse a late writer.
 *
 * @publicApi
 */
export interface Lock {
  /** What was asked for; several resources are separated by commas, in the order of their names. */
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

/** What a handle tells of its end, once. */
export type LockEnd = 'released' | 'lost';

/** What a handle needs of those who gave it out. */
export interface HandleHost {
  readonly lines: LockLines;
  readonly isDegraded: boolean;
  ended(handle: LockHandle, end: LockEnd): void;
}

/** Parts of the ttl after which the lease is renewed, and after which a renewal without an answer is repeated. */
const RENEWAL_PART = 1 / 3;
const RETRY_PART = 1 / 9;

/** Keeps a lease and watches over it, by this process's monotonic clock, until it is released or lost. */
export class LockHandle implements Lock {
  readonly resource: string;
  /** What figures are kept by. */
  readonly name: string | undefined;
  /** When it was taken, by `performance.now()`. */
  readonly since = performance.now();
  readonly #lease: Lease;
  readonly #host: HandleHost;
  #extends: boolean;
  #isReleased = false;
  #hasEnded = false;
  #tellEnded: (() => void) | undefined;
  #lost: LockLostError | undefined;
  #abort: AbortController | undefined;
  /** One timer at a time: for the renewal, or for the end where there is none before it. */
  #timer: NodeJS.Timeout | undefined;

  constructor(resource: string, lease: Lease, { extend, name }: LockRequest, host: HandleHost) {
    this.resource = resource;
    this.name = name;
    this.#lease = lease;
    this.#host = host;
    this.#extends = extend;
  }

  get degraded(): boolean {
    return this.#host.isDegraded;
  }

  /** How long it may go unwatched. */
  get carefreeMs(): number {
    return this.#lease.ttlMs * RENEWAL_PART;
  }

  get key(): string {
    return this.#lease.key;
  }

  get token(): string {
    return this.#lease.token;
  }

  get fence(): number {
    return this.#lease.fence;
  }

  get expiresAt(): number {
    return Math.round(Date.now() + this.#lease.endsAt - performance.now());
  }

  /** Made when somebody asks for it: most work is over before a signal could be of use. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.isLost) this.#abort.abort(this.#lost);
    return this.#abort.signal;
  }

  /** Whether it was lost before it was given back. */
  get wasLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Looks at the clock itself: after a stalled event loop the caller may be here before any timer has run. */
  get isLost(): boolean {
    if (!this.#isReleased && performance.now() >= this.#lease.endsAt) this.#lose();
    return this.#lost !== undefined;
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
    const wasLost = this.isLost;
    this.#isReleased = true;
    clearTimeout(this.#timer);
    try {
      const wasOurs = await this.#host.lines.release(this.#lease.key, this.token);
      // Somebody took the lock away while the lease was still running: the work was not protected to its end.
      if (!wasOurs && performance.now() < this.#lease.endsAt) this.#lose();
      return wasOurs && !wasLost;
    } catch {
      return false;
    } finally {
      if (this.#lost === undefined) this.#end('released');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /**
   * Asks whether the lease is still ours, after a time in which the server may have lost it.
   * @param store the same store, through a door that is open already
   */
  async verify(store: LockStore): Promise<void> {
    if (!this.#isOver()) await this.#prolong(this.#extends ? this.#lease.ttlMs : 0, store).catch(() => undefined);
  }

  /** Gives the lease a greater fence. @throws LockLostError, StoreUnavailableError, OutcomeUnknownError */
  async raiseFence(atLeast: number): Promise<void> {
    const { key, ttlMs, limit } = this.#lease;
    const endsAt = leaseEnd(performance.now(), ttlMs);
    const outcome = await this.#host.lines.store.acquire(key, { token: this.token, ttlMs, limit, atLeast });
    if (outcome.kind === 'held') this.#lose();
    this.#assertHeld();
    if (outcome.kind !== 'held') this.#lease.fence = outcome.fence;
    this.#holdUntil(endsAt);
  }

  /** Sees to it that it is renewed, and that it is known when it is lost. */
  watch(): void {
    if (!this.#isOver()) this.#watchFor(this.since + this.carefreeMs - performance.now());
  }

  /** Resolves when it was given back or lost. */
  whenEnded(): Promise<void> {
    if (this.#hasEnded) return Promise.resolve();
    return new Promise((resolve) => (this.#tellEnded = resolve));
  }

  /** From now on the lease ends by itself. */
  stopExtending(): void {
    this.#extends = false;
    if (!this.#isOver()) this.#watchFor(0);
  }

  /** The process ends: nobody watches any more. The lease ends by itself. */
  abandon(): void {
    this.#lose();
  }

  /** Asks for a new end of the lease; an answer that comes after the lock was released or lost means nothing. */
  async #prolong(ttlMs: number, store = this.#host.lines.store): Promise<void> {
    const endsAt = leaseEnd(performance.now(), ttlMs);
    const isOurs = await store.extend(this.#lease.key, this.token, ttlMs);
    if (this.#isOver()) return;
    if (isOurs) this.#holdUntil(endsAt);
    else this.#lose();
  }

  #holdUntil(endsAt: number): void {
    this.#lease.endsAt = Math.max(this.#lease.endsAt, endsAt);
  }

  /** @param renewalMs until the next renewal, if there is to be one */
  #watchFor(renewalMs: number): void {
    clearTimeout(this.#timer);
    const untilEnd = this.#lease.endsAt - performance.now();
    const untilLook = Math.max(0, this.#extends ? Math.min(untilEnd, renewalMs) : untilEnd);
    this.#timer = setTimeout(() => void this.#renew(), untilLook).unref();
  }

  async #renew(): Promise<void> {
    if (this.#isOver()) return;
    if (!this.#extends) {
      this.#watchFor(Infinity);
      return;
    }
    // The end is watched while the answer is on its way.
    this.#watchFor(Infinity);
    const part = await this.#prolong(this.#lease.ttlMs).then(
      () => RENEWAL_PART,
      () => RETRY_PART,
    );
    if (!this.#isOver()) this.#watchFor(this.#lease.ttlMs * part);
  }

  #lose(): void {
    if (this.#lost !== undefined) return;
    clearTimeout(this.#timer);
    this.#lost = new LockLostError(this.resource);
    this.#host.lines.forget(this.#lease);
    this.#end('lost');
    this.#abort?.abort(this.#lost);
  }

  #end(end: LockEnd): void {
    this.#hasEnded = true;
    this.#host.ended(this, end);
    this.#tellEnded?.();
  }

  #assertHeld(): void {
    if (this.#isOver()) throw new LockLostError(this.resource);
  }

  #isOver(): boolean {
    return this.#isReleased || this.isLost;
  }
}
