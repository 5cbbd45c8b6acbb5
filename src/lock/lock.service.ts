import { Injectable } from '@nestjs/common';
import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError, isStoreFailure } from '../common/errors.ts';
import { type KeySpace, validKey } from '../common/keys.ts';
import { acquireLease, type Held, isToken } from './lock-lease.ts';
import { leaseMs, type LockOptions, type LockRequest, resolveLockRequest } from './lock-request.ts';
import type { LockStore } from './lock-store.interface.ts';
import { LockConflictError, LockLostError, LockUnavailableError } from './lock.errors.ts';
import { type Lock, LockHandle } from './lock.handle.ts';
import { LOCK_DEFAULTS, type ResolvedLockModuleOptions } from './lock.options.ts';
import { MemoryLockStore } from './memory-lock.store.ts';

type Outcome = Lock | Held;

/**
 * Leases on named resources, shared by all processes.
 *
 * While the server is away, taking a lock fails with LockUnavailableError (503), or leads to a lock of this process
 * only (`degraded`) where `onOutage` is `'local'`.
 *
 * @publicApi
 */
@Injectable()
export class LockService {
  /** What `onOutage: 'local'` falls back to. */
  readonly #local = new MemoryLockStore();

  constructor(
    private readonly store: LockStore,
    private readonly keys: KeySpace,
    private readonly defaults: ResolvedLockModuleOptions = LOCK_DEFAULTS,
  ) {}

  /**
   * Waits for the lock: for `wait` if given, else `retryCount` × `retryDelay`.
   * @throws LockConflictError (409) when it was still held then; LockUnavailableError (503)
   */
  async acquire(resource: string, options: LockOptions = {}): Promise<Lock> {
    const outcome = await this.take(resource, resolveLockRequest(options, this.defaults));
    if ('kind' in outcome) throw new LockConflictError(resource, outcome.remainingMs);
    return outcome;
  }

  /**
   * Takes the lock if it is free now, else answers null; `wait` and the retry options have no effect.
   * @throws LockUnavailableError (503)
   */
  async tryAcquire(resource: string, options: LockOptions = {}): Promise<Lock | null> {
    const outcome = await this.take(resource, resolveLockRequest({ ...options, wait: '0s' }, this.defaults));
    return 'kind' in outcome ? null : outcome;
  }

  /**
   * Runs the callback while holding the lock, and waits for it to end even if the lock is lost meanwhile: watch
   * `lock.signal` in long work.
   * @throws LockLostError when the lock was lost before the callback ended, with the callback's error as `cause`;
   *   LockConflictError, LockUnavailableError, and then the callback did not run
   */
  async withLock<T>(
    resource: string,
    callback: (lock: Lock) => T | Promise<T>,
    ttlSeconds?: number | Duration,
    options: LockOptions = {},
  ): Promise<T> {
    const ttl = ttlSeconds === undefined ? undefined : ({ ttl: `${leaseMs(ttlSeconds, 's')}ms` } as const);
    const lock = await this.acquire(resource, { ...options, ...ttl });
    const [work] = await Promise.allSettled([Promise.resolve(lock).then(callback)]);
    await lock.release();
    const failure: unknown = work.status === 'rejected' ? work.reason : undefined;
    if (lock.signal.aborted) throw new LockLostError(resource, failure);
    if (work.status === 'rejected') throw failure;
    return work.value;
  }

  /** Whether anybody holds the lock now, this process included. @throws LockUnavailableError */
  async isHeld(resource: string): Promise<boolean> {
    return this.ask(resource, (key) => this.store.isHeld(key));
  }

  /** Ends the lock whoever holds it; the holder is told at its next renewal. False when nobody did. @throws LockUnavailableError */
  async forceRelease(resource: string): Promise<boolean> {
    return this.ask(resource, (key) => this.store.forceRelease(key));
  }

  /**
   * Takes the lock for a fixed time and answers with its token, or null when somebody holds it. Nothing prolongs it.
   * @throws LockUnavailableError on an outage, whatever `onOutage` says: a token cannot tell that it is degraded
   */
  async acquireLock(lockKey: string, ttlMs: number | Duration): Promise<string | null> {
    const request = { ...resolveLockRequest({ wait: '0s' }, this.defaults), ttlMs: leaseMs(ttlMs, 'ms') };
    const outcome = await this.ask(lockKey, (key) => acquireLease(this.store, key, request));
    return outcome.kind === 'acquired' ? outcome.token : null;
  }

  /** False when the token does not hold the lock, or the server does not answer: the lock then ends by itself. */
  async releaseLock(lockKey: string, token: string): Promise<boolean> {
    const key = this.keyOf(lockKey);
    if (!isToken(token)) return false;
    try {
      return await this.store.release(key, token);
    } catch (error) {
      if (isStoreFailure(error)) return false;
      throw error;
    }
  }

  private async take(resource: string, request: LockRequest): Promise<Outcome> {
    const key = this.keyOf(resource);
    try {
      return await this.takeFrom(this.store, resource, key, request);
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      if (request.onOutage === 'reject') throw new LockUnavailableError(resource, error);
      return this.takeFrom(this.#local, resource, key, request);
    }
  }

  private async takeFrom(store: LockStore, resource: string, key: string, request: LockRequest): Promise<Outcome> {
    const lease = await acquireLease(store, key, request);
    if (lease.kind === 'held') return lease;
    return new LockHandle({ resource, lease, store, extend: request.extend, degraded: store === this.#local });
  }

  /** What a failure of the store means where there is no local answer. */
  private async ask<T>(resource: string, question: (key: string) => T | Promise<T>): Promise<T> {
    const key = this.keyOf(resource);
    try {
      return await question(key);
    } catch (error) {
      throw isStoreFailure(error) ? new LockUnavailableError(resource, error) : error;
    }
  }

  private keyOf(resource: string): string {
    if (Array.isArray(resource)) {
      throw new InvalidOptionsError('Wrong lock resource', ['several resources at once are not supported yet']);
    }
    return this.keys.internal('lock', validKey(resource, 'lock resource'));
  }
}
