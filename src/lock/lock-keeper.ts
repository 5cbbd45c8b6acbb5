import type { Logger } from '@nestjs/common';
import { isStoreFailure, StoreUnavailableError } from '../common/errors.ts';
import { Telemetry } from '../common/telemetry.ts';
import { within } from '../common/within.ts';
import { HeldLocks } from './held-locks.ts';
import { LockBundle } from './lock-bundle.ts';
import { isReentrant, ProtectedWork } from './lock-context.ts';
import { type Held, type Lease, newToken } from './lock-lease.ts';
import { LockLines } from './lock-lines.ts';
import { LockCounter, type LockMetrics } from './lock-metrics.ts';
import type { LockRequest } from './lock-request.ts';
import type { LockStore } from './lock-store.interface.ts';
import { LockLostError, LockReentranceError, LockUnavailableError } from './lock.errors.ts';
import { type HandleHost, type LockEnd, LockHandle } from './lock.handle.ts';
import { MemoryLockStore } from './memory-lock.store.ts';

/** A resource by its name, and by its key in the store. */
export interface Resource {
  readonly name: string;
  readonly key: string;
}

/** A lock as this process holds it. */
export type HeldLock = LockHandle | LockBundle;

export type LockLogger = Pick<Logger, 'warn'>;
const SILENT: LockLogger = { warn: () => undefined };

/** At a shutdown: how long locks that no work is known under may still be given back by whoever holds them. */
const GRACE_MS = 500;

/** Takes locks, knows which are held in this process, and what a failure of the store means to who asks for one. */
export class LockKeeper {
  readonly lines: LockLines;
  /** What `onOutage: 'local'` falls back to. */
  readonly #local = new LockLines(new MemoryLockStore());
  readonly #held = new HeldLocks();
  readonly #works = new Set<ProtectedWork>();
  readonly #counter: LockCounter;
  readonly #served: HandleHost;
  readonly #degraded: HandleHost;
  #isClosed = false;

  constructor(
    readonly store: LockStore,
    private readonly logger: LockLogger = SILENT,
    telemetry = new Telemetry(),
  ) {
    this.#counter = new LockCounter(telemetry);
    this.lines = new LockLines(store);
    const ended = (handle: LockHandle, end: LockEnd): void => this.#ended(handle, end);
    this.#served = { lines: this.lines, isDegraded: false, ended };
    this.#degraded = { lines: this.#local, isDegraded: true, ended };
  }

  get metrics(): LockMetrics {
    return this.#counter.metrics(this.lines.waiters + this.#local.waiters);
  }

  /** Of what this process holds. */
  *tokens(): Iterable<string> {
    for (const { token } of this.#held) yield token;
  }

  /**
   * Takes all of the resources, or none. They are asked for in the order of their names, so two callers never wait for
   * each other.
   * @throws LockUnavailableError, LockReentranceError, and what the request's signal was aborted with
   */
  async take(resources: readonly Resource[], request: LockRequest): Promise<HeldLock | Held> {
    if (isReentrant(resources, this)) throw new LockReentranceError(nameOf(resources));
    try {
      return await this.#takeFrom(this.#served, resources, request);
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      if (request.onOutage === 'local') return this.#takeFrom(this.#degraded, resources, request);
      this.#counter.count('unavailable', request.name);
      throw new LockUnavailableError(nameOf(resources), error);
    }
  }

  /** Begins work under a lock, which is waited for at a shutdown; it has to be ended with `finish`. */
  begin(lock: HeldLock, resources: readonly Resource[]): ProtectedWork {
    const work = new ProtectedWork(lock, resources, this);
    this.#works.add(work);
    return work;
  }

  /**
   * Ends work under a lock and gives the lock back; settles as the work did.
   * @throws LockLostError when the lock was lost before the work ended, with the work's own error as `cause`
   */
  async finish<T>(lock: HeldLock, work: ProtectedWork, outcome: PromiseSettledResult<T>): Promise<T> {
    work.stop();
    await lock.release();
    this.#works.delete(work);
    work.end();
    const failure: unknown = outcome.status === 'rejected' ? outcome.reason : undefined;
    if (lock.wasLost) throw new LockLostError(lock.resource, failure);
    if (outcome.status === 'rejected') throw failure;
    return outcome.value;
  }

  /**
   * A server answers again: what it may have lost is looked at now, not at the next renewal. Never rejects.
   * @param store the same store, through a door that is open already
   * @param holds which keys it is about
   */
  async verify(store: LockStore, holds: (key: string) => boolean): Promise<void> {
    const concerned = [...this.#held].filter(({ key, degraded }) => !degraded && holds(key));
    await Promise.all(concerned.map((handle) => handle.verify(store)));
  }

  /** Ends a lease, whoever holds it. A holder in this process hears of it at once. */
  async forceRelease(key: string): Promise<boolean> {
    const wasHeld = await this.store.forceRelease(key);
    await this.verify(this.store, (held) => held === key);
    return wasHeld;
  }

  /**
   * Ends all waits, waits itself for work under locks, `budgetMs` at most, and gives back what nobody is known to work
   * under. A lock whose work goes on is not given back: it ends by itself.
   */
  async close(budgetMs: number): Promise<void> {
    await within(this.#worksDone(), budgetMs, undefined);
    const working = [...this.#works].map(({ lock }) => lock.token);
    const idle = [...this.#held].filter(({ token }) => !working.includes(token));
    await within(Promise.all(idle.map((handle) => handle.whenEnded())), GRACE_MS, undefined);
    this.#isClosed = true;
    const closing = new StoreUnavailableError('lock.acquire', 'the application is closing');
    for (const lines of [this.lines, this.#local]) lines.close(closing);
    for (const handle of [...this.#held]) handle.abandon();
    await within(Promise.all(idle.map((handle) => handle.release())), GRACE_MS, undefined);
  }

  async #worksDone(): Promise<void> {
    while (this.#works.size > 0) await Promise.all([...this.#works].map(({ ended }) => ended));
  }

  async #takeFrom(host: HandleHost, resources: readonly Resource[], request: LockRequest): Promise<HeldLock | Held> {
    const [first, second] = resources;
    if (first === undefined || this.#isClosed) throw new StoreUnavailableError('lock.acquire', 'nothing can be taken');
    const askedAt = performance.now();
    const outcome =
      second === undefined
        ? this.#hold(host, first, await host.lines.acquire(first.key, request), request)
        : await this.#takeAll(host, resources, request);
    if (request.replicas > 0 && outcome instanceof LockHandle) await this.#awaitReplicas(host, outcome, request);
    this.#counter.waited(performance.now() - askedAt);
    if ('kind' in outcome) this.#counter.count('conflict', request.name);
    else this.#counter.count(host.isDegraded ? 'degraded' : 'acquired', request.name);
    return outcome;
  }

  #hold(host: HandleHost, { name }: Resource, lease: Lease | Held, request: LockRequest): LockHandle | Held {
    if (lease.kind === 'held') return lease;
    const handle = new LockHandle(name, lease, request, host);
    this.#held.add(handle);
    this.#counter.taken();
    return handle;
  }

  #ended(handle: LockHandle, end: LockEnd): void {
    this.#held.remove(handle);
    this.#counter.ended(performance.now() - handle.since);
    if (end === 'lost') this.#lost(handle);
  }

  #lost({ resource, name }: LockHandle): void {
    this.#counter.count('lost', name);
    if (!this.#isClosed)
      this.logger.warn(`The lock ${JSON.stringify(resource.slice(0, 120))} was lost before it was given back`);
  }

  /** A lock that a failover could forget is not given out. @throws LockUnavailableError */
  async #awaitReplicas(host: HandleHost, handle: LockHandle, { replicas, name }: LockRequest): Promise<void> {
    let have = 0;
    try {
      have = await host.lines.store.replicated(handle.key, replicas);
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
    }
    if (have >= replicas) return;
    await handle.release();
    this.#counter.count('unavailable', name);
    const reason = `${have} of ${replicas} replicas have it`;
    throw new LockUnavailableError(handle.resource, new StoreUnavailableError('lock.acquire', reason));
  }

  async #takeAll(host: HandleHost, resources: readonly Resource[], request: LockRequest): Promise<LockBundle | Held> {
    const giveUpAt = performance.now() + request.waitMs;
    const token = newToken();
    const taken: LockHandle[] = [];
    try {
      for (const resource of resources) {
        const waitMs = Math.max(0, giveUpAt - performance.now());
        // The first ones are kept while the last one is waited for.
        const outcome = await this.#takeOne(host, resource, { ...request, token, waitMs, extend: true });
        if ('kind' in outcome) {
          await releaseAll(taken);
          return outcome;
        }
        taken.push(outcome);
      }
      await shareFence(taken);
    } catch (error) {
      await releaseAll(taken);
      throw error;
    }
    if (!request.extend) for (const handle of taken) handle.stopExtending();
    return new LockBundle(nameOf(resources), taken as [LockHandle, ...LockHandle[]]);
  }

  async #takeOne(host: HandleHost, resource: Resource, request: LockRequest): Promise<LockHandle | Held> {
    const handle = this.#hold(host, resource, await host.lines.acquire(resource.key, request), request);
    if ('kind' in handle) return handle;
    if (request.replicas > 0) await this.#awaitReplicas(host, handle, request);
    return handle;
  }
}

/** One number has to do for all resources, so each of them has to know the greatest. */
async function shareFence(handles: readonly LockHandle[]): Promise<void> {
  const fence = Math.max(...handles.map((handle) => handle.fence));
  const behind = handles.filter((handle) => handle.fence < fence);
  await Promise.all(behind.map((handle) => handle.raiseFence(fence)));
}

const releaseAll = (handles: readonly LockHandle[]): Promise<unknown> =>
  Promise.all(handles.toReversed().map((handle) => handle.release()));

const nameOf = (resources: readonly Resource[]): string =>
  resources.length === 1 ? (resources[0]?.name ?? '') : resources.map(({ name }) => name).join(',');
