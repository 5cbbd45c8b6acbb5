import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError, isStoreFailure } from '../common/errors.ts';
import { escapeGlob } from '../common/glob.ts';
import { type KeySpace, validKey } from '../common/keys.ts';
import { received } from '../common/read-options.ts';
import type { HeldLock, LockKeeper, Resource } from './lock-keeper.ts';
import { type Held, isToken } from './lock-lease.ts';
import type { LockMetrics } from './lock-metrics.ts';
import { leaseMs, type LockOptions, LockRequests } from './lock-request.ts';
import type { HeldKey, HeldKeysPage } from './lock-store.interface.ts';
import { LockConflictError, LockUnavailableError } from './lock.errors.ts';
import type { Lock } from './lock.handle.ts';
import { LOCK_DEFAULTS, type ResolvedLockModuleOptions } from './lock.options.ts';

/** A resource that somebody holds. */
export interface LockInfo {
  /** Its name; of a long one what is left of it before its hash. */
  readonly resource: string;
  /** Tells holders apart without showing what would free the lock. */
  readonly tokenHash: string;
  readonly fence: number;
  /** How long the lease lasts unless it is extended. */
  readonly ttlMs: number;
  readonly waiters: number;
}

export interface LockPage {
  readonly items: readonly LockInfo[];
  /** For the next page; null on the last one. */
  readonly cursor: string | null;
}

/** Many readers or one writer at a time. */
export interface ReadWriteLock {
  read(options?: LockOptions): Promise<Lock>;
  write(options?: LockOptions): Promise<Lock>;
}

/** So many holders at a time. */
export interface Semaphore {
  acquire(options?: LockOptions): Promise<Lock>;
}

/** Work under a lock whose end only the caller sees, such as that of a stream. */
export interface LockedWork {
  readonly lock: Lock;
  /** Calls `act` with the lock as `currentLock()`. */
  run<T>(act: () => T): T;
  /**
   * Gives the lock back and settles as the work did.
   * @throws LockLostError when the lock was lost before, with what the work failed with as `cause`
   */
  finish<T>(outcome: PromiseSettledResult<T>): Promise<T>;
}

/** Holders at a time where only a writer excludes them. */
const READERS = 10_000;
const MAX_PERMITS = 10_000;
const MAX_RESOURCES = 100;
const MAX_PAGE = 1_000;
const HASH_LENGTH = 16;
const FAMILY = 'lock:';

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
  readonly #keeper: LockKeeper;
  readonly #keys: KeySpace;
  readonly #requests: LockRequests;
  /** What the key of every lock begins with. */
  readonly #root: string;

  constructor(keeper: LockKeeper, keys: KeySpace, defaults: ResolvedLockModuleOptions = LOCK_DEFAULTS) {
    this.#keeper = keeper;
    this.#keys = keys;
    this.#requests = new LockRequests(defaults);
    this.#root = keys.internal('lock', 'x').slice(0, -1);
  }

  /**
   * Waits for the lock: for `wait` if given, else `retryCount` × `retryDelay`. Several resources are taken together or
   * not at all.
   * @throws LockConflictError (409) when it was still held then; LockUnavailableError (503); LockReentranceError (500)
   *   below a `withLock` of the same resource
   */
  async acquire(resource: string | readonly string[], options?: LockOptions): Promise<Lock> {
    const resources = this.#resourcesOf(resource);
    return granted(resources, await this.#keeper.take(resources, this.#requests.of(options)));
  }

  /**
   * Takes the lock if it is free now, else answers null; `wait` and the retry options have no effect.
   * @throws LockUnavailableError (503), LockReentranceError (500)
   */
  async tryAcquire(resource: string | readonly string[], options?: LockOptions): Promise<Lock | null> {
    const request = { ...this.#requests.of(options), waitMs: 0 };
    const outcome = await this.#keeper.take(this.#resourcesOf(resource), request);
    return 'kind' in outcome ? null : outcome;
  }

  /**
   * Runs the callback while holding the lock, and waits for it to end even if the lock is lost meanwhile: watch
   * `lock.signal` in long work.
   * @throws LockLostError when the lock was lost before the callback ended, with the callback's error as `cause`;
   *   LockConflictError, LockUnavailableError, LockReentranceError, and then the callback did not run
   * @throws InvalidKeyError, InvalidTtlError, InvalidOptionsError before anything is asked
   */
  async withLock<T>(
    resource: string | readonly string[],
    callback: (lock: Lock) => T | Promise<T>,
    ttlSeconds?: number | Duration,
    options?: LockOptions,
  ): Promise<T> {
    if (typeof (callback as unknown) !== 'function') {
      throw new InvalidOptionsError('Wrong withLock', [`callback: must be a function; received ${received(callback)}`]);
    }
    const work = await this.begin(resource, options, ttlSeconds);
    const [outcome] = await Promise.allSettled([work.run(async () => callback(work.lock))]);
    return work.finish(outcome);
  }

  /**
   * `withLock` for work that is not one promise: takes the lock, which is held until `finish` is called.
   * @param name what the figures are kept by; one of few, never a part of a key
   * @throws what `withLock` throws before its callback runs
   */
  async begin(
    resource: string | readonly string[],
    options?: LockOptions,
    ttlSeconds?: number | Duration,
    name?: string,
  ): Promise<LockedWork> {
    const resources = this.#resourcesOf(resource);
    const request = this.#requests.of(options);
    const timed = ttlSeconds === undefined ? request : { ...request, ttlMs: leaseMs(ttlSeconds, 's') };
    const outcome = await this.#keeper.take(resources, name === undefined ? timed : { name, ...timed });
    const lock = granted(resources, outcome);
    const work = this.#keeper.begin(lock, resources);
    return { lock, run: (act) => work.run(act), finish: (outcome) => this.#keeper.finish(lock, work, outcome) };
  }

  /** Readers share the resource, a writer has it alone; `acquire` is a writer, too. First come, first served. */
  readWrite(resource: string): ReadWriteLock {
    return {
      read: (options) => this.#acquireShared(resource, READERS, options),
      write: (options) => this.acquire(resource, options),
    };
  }

  /**
   * At most `permits` holders at a time, in all processes. Where processes disagree about the number the least counts.
   * @throws InvalidOptionsError for anything but 1 to 10 000
   */
  semaphore(resource: string, permits: number): Semaphore {
    if (!Number.isSafeInteger(permits) || permits < 1 || permits > MAX_PERMITS) {
      throw new InvalidOptionsError('Wrong semaphore', [`permits: must be a whole number from 1 to ${MAX_PERMITS}`]);
    }
    return { acquire: (options) => this.#acquireShared(resource, permits, options) };
  }

  /** Whether anybody holds the lock now, this process included. @throws LockUnavailableError */
  async isHeld(resource: string): Promise<boolean> {
    return this.#ask(resource, ({ key }) => this.#keeper.store.isHeld(key));
  }

  /**
   * Who holds what, in all processes, a page at a time; it scans the key space of the server.
   * @param limit items of a page, 1 000 at most
   * @throws InvalidOptionsError for a cursor that no page had; LockUnavailableError
   */
  async list(cursor?: string | null, limit = 100): Promise<LockPage> {
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_PAGE) {
      throw new InvalidOptionsError('Wrong page of locks', [`limit: must be a whole number from 1 to ${MAX_PAGE}`]);
    }
    const page = await this.#page('*', cursor ?? undefined, limit);
    return { items: page.items.map((held) => this.#describe(held)), cursor: page.cursor };
  }

  /** Which of the locks that `list` shows this process holds, by their `tokenHash`; of those of `acquireLock` nobody keeps account. */
  heldHere(): ReadonlySet<string> {
    return new Set([...this.#keeper.tokens()].map(hashOf));
  }

  /** Ends the lock whoever holds it; a holder in another process is told at its next renewal. False when nobody did. @throws LockUnavailableError */
  async forceRelease(resource: string): Promise<boolean> {
    return this.#ask(resource, ({ key }) => this.#keeper.forceRelease(key));
  }

  /**
   * Ends all locks whose resource matches a glob (`*`, `?`, `[…]`), whoever holds them; answers how many.
   * @throws LockUnavailableError, InvalidKeyError for an empty pattern
   */
  async releaseAll(pattern = '*'): Promise<number> {
    let released = 0;
    let cursor: string | null | undefined;
    do {
      const page = await this.#page(validKey(pattern, 'pattern'), cursor ?? undefined, MAX_PAGE);
      const answers = await Promise.all(page.items.map(async ({ key }) => this.#keeper.forceRelease(key)));
      released += answers.filter(Boolean).length;
      ({ cursor } = page);
    } while (cursor !== null);
    return released;
  }

  /**
   * Takes the lock for a fixed time and answers with its token, or null when somebody holds it. Nothing prolongs it.
   * @throws LockUnavailableError on an outage, whatever `onOutage` says: a token cannot tell that it is degraded
   */
  async acquireLock(lockKey: string, ttlMs: number | Duration): Promise<string | null> {
    const request = { ...this.#requests.of(), waitMs: 0, ttlMs: leaseMs(ttlMs, 'ms'), isUnattended: true };
    const outcome = await this.#ask(lockKey, ({ key }) => this.#keeper.lines.acquire(key, request));
    return outcome.kind === 'acquired' ? outcome.token : null;
  }

  /** False when the token does not hold the lock, or the server does not answer: the lock then ends by itself. */
  async releaseLock(lockKey: string, token: string): Promise<boolean> {
    const { key } = this.#resourceOf(lockKey);
    if (!isToken(token)) return false;
    try {
      return await this.#keeper.lines.release(key, token);
    } catch (error) {
      if (isStoreFailure(error)) return false;
      throw error;
    }
  }

  /** What happened to locks in this process, and how many it holds and waits for. */
  getMetrics(): LockMetrics {
    return this.#keeper.metrics;
  }

  async #acquireShared(resource: string, limit: number, options?: LockOptions): Promise<Lock> {
    const resources = [this.#resourceOf(resource)];
    return granted(resources, await this.#keeper.take(resources, { ...this.#requests.of(options), limit }));
  }

  /** What a failure of the store means where there is no local answer. */
  async #ask<T>(resource: string, question: (resource: Resource) => T | Promise<T>): Promise<T> {
    const named = this.#resourceOf(resource);
    try {
      return await question(named);
    } catch (error) {
      throw isStoreFailure(error) ? new LockUnavailableError(resource, error) : error;
    }
  }

  async #page(pattern: string, cursor: string | undefined, limit: number): Promise<HeldKeysPage> {
    try {
      return await this.#keeper.store.list(escapeGlob(this.#root) + pattern, cursor, limit);
    } catch (error) {
      throw isStoreFailure(error) ? new LockUnavailableError(pattern, error) : error;
    }
  }

  #describe({ key, token, fence, remainingMs, waiters }: HeldKey): LockInfo {
    return {
      resource: key.slice(this.#root.length),
      tokenHash: hashOf(token),
      fence,
      ttlMs: remainingMs,
      waiters: waiters + this.#keeper.lines.untoldOf(key),
    };
  }

  /** In one order for everybody. @throws InvalidKeyError, InvalidOptionsError for none or too many */
  #resourcesOf(resource: string | readonly string[]): readonly Resource[] {
    if (!Array.isArray(resource)) return [this.#resourceOf(resource as string)];
    if (resource.length === 0 || resource.length > MAX_RESOURCES) {
      throw new InvalidOptionsError('Wrong lock resource', [`several at once: must be 1 to ${MAX_RESOURCES} names`]);
    }
    const names = [...new Set(resource as readonly string[])];
    return names.map((name) => this.#resourceOf(name)).sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
  }

  /** Every key says `lock` already: `lock:x` is another way to write `x`. */
  #resourceOf(name: string): Resource {
    const resource = validKey(name, 'lock resource');
    const bare = resource.startsWith(FAMILY) ? resource.slice(FAMILY.length) : resource;
    return { name, key: this.#keys.internal('lock', bare.trim() === '' ? resource : bare) };
  }
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex').slice(0, HASH_LENGTH);

/** @throws LockConflictError when it was still held at the end of the wait */
function granted(resources: readonly Resource[], outcome: HeldLock | Held): HeldLock {
  if (!('kind' in outcome)) return outcome;
  throw new LockConflictError(resources.map(({ name }) => name).join(','), outcome.remainingMs);
}
