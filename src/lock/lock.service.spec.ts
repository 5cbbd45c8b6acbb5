import { AsyncResource } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  InvalidKeyError,
  InvalidOptionsError,
  InvalidTtlError,
  OutcomeUnknownError,
  StoreUnavailableError,
} from '../common/errors.ts';
import { KEY_DEFAULTS, KeySpace } from '../common/keys.ts';
import { LockKeeper } from './lock-keeper.ts';
import type { HandOffListener, LeaseClaim, LockOutcome, LockStore, Turn } from './lock-store.interface.ts';
import {
  isLockConflictError,
  isLockLostError,
  LockConflictError,
  LockLostError,
  LockReentranceError,
  LockUnavailableError,
} from './lock.errors.ts';
import { currentLock } from './lock-context.ts';
import { LockService } from './lock.service.ts';
import { MemoryLockStore } from './memory-lock.store.ts';

type Act = keyof LockStore;
/** `refused`: not executed; `lost`: executed, but the answer does not arrive. */
type Fault = 'refused' | 'lost';

/** A working store whose next calls fail on demand, and that counts its calls. */
class FaultyLockStore implements LockStore {
  readonly calls: Act[] = [];
  /** How long every answer takes. */
  delayMs = 0;
  /** How many replicas it says it has. */
  replicas: number | undefined;
  readonly #inner = new MemoryLockStore();
  readonly #faults = new Map<Act, (Fault | undefined)[]>();

  fail(act: Act, fault: Fault, times = 1): void {
    this.#faults.set(
      act,
      Array.from({ length: times }, () => fault),
    );
  }

  /** The first ones succeed, all later ones are refused. */
  failAfter(act: Act, times: number): void {
    this.#faults.set(act, [...Array.from({ length: times }, () => undefined), 'refused', 'refused']);
  }

  acquire = (key: string, claim: LeaseClaim, turn?: Turn) =>
    this.#act<LockOutcome>('acquire', () => this.#inner.acquire(key, claim, turn));
  extend = (key: string, token: string, ttlMs: number) =>
    this.#act('extend', () => this.#inner.extend(key, token, ttlMs));
  release = (key: string, token: string) => this.#act('release', () => this.#inner.release(key, token));
  handOver = (key: string, token: string, claim: LeaseClaim, turn: Turn) =>
    this.#act('handOver', () => this.#inner.handOver(key, token, claim, turn));
  forceRelease = (key: string) => this.#act('forceRelease', () => this.#inner.forceRelease(key));
  isHeld = (key: string) => this.#act('isHeld', () => this.#inner.isHeld(key));
  replicated = (key: string, wanted: number) =>
    this.#act('replicated', () => this.replicas ?? this.#inner.replicated(key, wanted));
  list = (glob: string, cursor: string | undefined, limit: number) =>
    this.#act('list', () => this.#inner.list(glob, cursor, limit));
  listen = (listener: HandOffListener) => this.#act('listen', () => void this.#inner.listen(listener));

  async #act<T>(act: Act, run: () => T): Promise<T> {
    this.calls.push(act);
    const fault = this.#faults.get(act)?.shift();
    if (fault === 'refused') throw new StoreUnavailableError(act, 'not connected');
    const answer = run();
    if (this.delayMs > 0) await sleep(this.delayMs);
    if (fault === 'lost') throw new OutcomeUnknownError(act, 'no answer');
    return answer;
  }
}

const KEY = new KeySpace(KEY_DEFAULTS).internal('lock', 'order:1');

describe('LockService', () => {
  let store: FaultyLockStore;
  let locks: LockService;

  beforeEach(() => {
    jest.useFakeTimers();
    store = new FaultyLockStore();
    locks = new LockService(new LockKeeper(store), new KeySpace(KEY_DEFAULTS));
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const countCalls = (act: Act) => store.calls.filter((call) => call === act).length;
  const settle = <T>(promise: Promise<T>) =>
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error: error as Error }),
    );

  describe('taking and giving back', () => {
    it('answers with a handle that says all about the lock', async () => {
      const lock = await locks.acquire('order:1', { ttl: '20s' });
      expect(lock).toMatchObject({ resource: 'order:1', degraded: false });
      expect(lock.token).toMatch(/^[0-9a-f]{32}$/);
      expect(Number.isSafeInteger(lock.fence)).toBe(true);
      expect(lock.signal.aborted).toBe(false);
      expect(lock.expiresAt - Date.now()).toBeGreaterThan(19_000);
      expect(lock.expiresAt - Date.now()).toBeLessThanOrEqual(20_000);
      expect(await lock.release()).toBe(true);
    });

    it('gives every lock another token', async () => {
      const tokens = await Promise.all(['a', 'b', 'c'].map(async (name) => (await locks.acquire(name)).token));
      expect(new Set(tokens).size).toBe(3);
    });

    it('answers null to one attempt at a held lock', async () => {
      const lock = await locks.tryAcquire('order:1');
      expect(await locks.tryAcquire('order:1', { wait: '1m' })).toBeNull();
      await lock!.release();
      expect(await locks.tryAcquire('order:1')).not.toBeNull();
    });

    it('releases once', async () => {
      const lock = await locks.acquire('order:1');
      expect(await Promise.all([lock.release(), lock.release()])).toEqual([true, false]);
      const next = await locks.acquire('order:1');
      expect(await lock.release()).toBe(false);
      expect(await locks.isHeld('order:1')).toBe(true);
      await next.release();
    });

    it('is released at the end of an `await using` block', async () => {
      const lock = await locks.acquire('order:1');
      await lock[Symbol.asyncDispose]();
      expect(await locks.isHeld('order:1')).toBe(false);
    });

    it('leaves no timer behind', async () => {
      const lock = await locks.acquire('order:1');
      expect(jest.getTimerCount()).toBeGreaterThan(0);
      await lock.release();
      await jest.advanceTimersByTimeAsync(50);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('is ended by force, whoever holds it', async () => {
      const lock = await locks.acquire('order:1');
      expect(await locks.forceRelease('order:1')).toBe(true);
      expect(await locks.isHeld('order:1')).toBe(false);
      expect(await lock.release()).toBe(false);
      expect(await locks.forceRelease('order:1')).toBe(false);
    });
  });

  describe('waiting', () => {
    beforeEach(() => jest.useRealTimers());
    // What still runs on real time would set timers of the next tests.
    afterAll(() => sleep(60));

    it('rejects with a conflict, and how long the holder may take, when the wait is over', async () => {
      await locks.acquire('order:1', { ttl: '20s' });
      const failure = await settle(locks.acquire('order:1', { wait: '30ms', retryDelay: 5 }));
      const { error } = failure as { error: LockConflictError };
      expect(isLockConflictError(error)).toBe(true);
      expect(error).toMatchObject({ resource: 'order:1', code: 'KEEP_LOCK_CONFLICT' });
      expect(error.getStatus()).toBe(409);
      expect(error.retryAfterMs).toBeGreaterThan(19_000);
      expect(error.retryAfterMs).toBeLessThanOrEqual(20_000);
    });

    it('does not name the resource in what HTTP clients are told', async () => {
      await locks.acquire('order:alice@example.org');
      const failure = await settle(locks.acquire('order:alice@example.org', { wait: '0s' }));
      expect(JSON.stringify((failure as { error: LockConflictError }).error.getResponse())).not.toContain('alice');
    });

    it('gets the lock as soon as it is free', async () => {
      const lock = await locks.acquire('order:1');
      const waiting = locks.acquire('order:1', { wait: '10s', retryDelay: 5 });
      await lock.release();
      expect((await waiting).fence).toBeGreaterThan(lock.fence);
    });

    it('does not sleep past the end of the lease it waits for', async () => {
      await locks.acquire('order:1', { ttl: '50ms', extend: false });
      const startedAt = performance.now();
      await locks.acquire('order:1', { wait: '20s', retryDelay: 15_000 });
      expect(performance.now() - startedAt).toBeLessThan(7_000);
    });

    it('waits for about `retryCount` × `retryDelay` when no wait is given, without asking all the time', async () => {
      await locks.acquire('order:1');
      const startedAt = performance.now();
      await settle(locks.acquire('order:1', { retryCount: 4, retryDelay: 20 }));
      // A timer may be early by a fraction.
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(75);
      expect(performance.now() - startedAt).toBeLessThan(2_000);
      // One for the holder, and one for the lease that follows.
      expect(countCalls('acquire')).toBe(2);
    });

    it('listens for hand-offs once, as soon as somebody waits for another process', async () => {
      const own = await locks.acquire('order:2');
      const behindOwn = locks.acquire('order:2', { wait: '10s' });
      await sleep(20);
      await own.release();
      await (await behindOwn).release();
      expect(countCalls('listen')).toBe(0);
      const token = await locks.acquireLock('order:1', 60_000);
      const waiting = [locks.acquire('order:1', { wait: '10s' }), locks.acquire('order:1', { wait: '10s' })];
      await sleep(20);
      expect(countCalls('listen')).toBe(1);
      await locks.releaseLock('order:1', token ?? '');
      for (const next of waiting) await (await next).release();
      expect(countCalls('listen')).toBe(1);
    });

    it('asks for the next one in the same trip, and only once for all who wait here', async () => {
      const lock = await locks.acquire('order:1');
      const waiting = Array.from({ length: 5 }, () => locks.acquire('order:1', { wait: '10s' }));
      await lock.release();
      for (const next of waiting) await (await next).release();
      expect([countCalls('acquire'), countCalls('handOver'), countCalls('release')]).toEqual([1, 5, 1]);
    });

    it('lets the next one begin before the store has been told, if that has just granted its lease', async () => {
      const lock = await locks.acquire('order:1');
      const waiting = locks.acquire('order:1', { wait: '10s' });
      await sleep(20);
      store.delayMs = 200;
      let isTold = false;
      const telling = lock.release().then((wasHeld) => (isTold = wasHeld));
      expect((await waiting).fence).toBeGreaterThan(lock.fence);
      expect(isTold).toBe(false);
      expect(await telling).toBe(true);
      expect(countCalls('handOver')).toBe(0);
    });

    it('asks again for the next one when the store granted its lease a while ago', async () => {
      const lock = await locks.acquire('order:1');
      const waiting = locks.acquire('order:1', { wait: '10s' });
      await sleep(150);
      await lock.release();
      expect((await waiting).fence).toBeGreaterThan(lock.fence);
      expect(countCalls('handOver')).toBe(1);
    });

    it('gives no lease that follows one whose fence may still be raised', async () => {
      const both = await locks.acquire(['order:1', 'order:2']);
      const waiting = locks.acquire('order:1', { wait: '10s' });
      await sleep(20);
      await both.release();
      expect((await waiting).fence).toBeGreaterThan(both.fence);
      expect(countCalls('handOver')).toBe(1);
    });

    it('learns when it is given back that somebody else had ended it', async () => {
      const work = locks.withLock('order:1', () => store.forceRelease(KEY));
      await expect(work).rejects.toThrow(LockLostError);
    });

    it('lets nobody begin when a token is given back that does not hold the lock', async () => {
      const lock = await locks.acquire('order:1');
      const served = jest.fn();
      const waiting = locks.acquire('order:1', { wait: '10s' }).then(served);
      await sleep(20);
      expect(await locks.releaseLock('order:1', 'f'.repeat(32))).toBe(false);
      await sleep(20);
      expect(served).not.toHaveBeenCalled();
      await lock.release();
      await waiting;
    });

    it('serves those who wait in the order in which they came', async () => {
      const lock = await locks.acquire('order:1');
      const served: number[] = [];
      const waiting = [1, 2, 3].map(async (number) => {
        const next = await locks.acquire('order:1', { wait: '10s' });
        served.push(number);
        await next.release();
      });
      await lock.release();
      await Promise.all(waiting);
      expect(served).toEqual([1, 2, 3]);
    });

    it('leaves the line when the wait is over, and lets the others pass', async () => {
      const lock = await locks.acquire('order:1');
      const impatient = settle(locks.acquire('order:1', { wait: '20ms' }));
      const patient = locks.acquire('order:1', { wait: '10s' });
      expect(isLockConflictError(((await impatient) as { error: Error }).error)).toBe(true);
      await lock.release();
      await (await patient).release();
      expect(await locks.isHeld('order:1')).toBe(false);
      expect(locks.getMetrics()).toMatchObject({ held: 0, waiting: 0, acquired: 2, conflicts: 1 });
    });

    it('gives a lock that was ended by force to the next one at once, also in the process of its holder', async () => {
      const held = await locks.acquire('order:1');
      await locks.forceRelease('order:1');
      expect(held.signal.aborted).toBe(true);
      await expect(locks.acquire('order:1', { wait: '0s' })).resolves.toMatchObject({ resource: 'order:1' });
    });

    it('notices within a second that a lock of its own process was ended by force', async () => {
      await locks.acquire('order:1', { ttl: '10m' });
      const waiting = locks.acquire('order:1', { wait: '10s' });
      await locks.forceRelease('order:1');
      const startedAt = performance.now();
      await (await waiting).release();
      expect(performance.now() - startedAt).toBeLessThan(4_000);
    });

    it('leaves nothing behind on a signal, nor a timer, when the wait is over', async () => {
      const { signal } = new AbortController();
      for (let round = 0; round < 3; round++) {
        const holder = await locks.acquire('order:1', { signal, extend: false });
        const waiting = locks.acquire('order:1', { wait: '1m', signal });
        await jest.advanceTimersByTimeAsync(10);
        await holder.release();
        await (await waiting).release();
        await settle(locks.acquire('order:1', { wait: '0s', signal }).then((lock) => lock.release()));
      }
      expect(getEventListeners(signal, 'abort')).toEqual([]);
      await jest.advanceTimersByTimeAsync(2_000);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('is refused with 503 when ten thousand wait in the same process already', async () => {
      await locks.acquire('order:1');
      for (let i = 0; i < 10_000; i++) void settle(locks.acquire('order:1', { wait: '1m' }));
      await expect(locks.acquire('order:1', { wait: '1m' })).rejects.toThrow(LockUnavailableError);
      await expect(locks.tryAcquire('order:2')).resolves.not.toBeNull();
    });

    it('stops waiting when the signal aborts', async () => {
      await locks.acquire('order:1');
      const controller = new AbortController();
      const waiting = settle(locks.acquire('order:1', { wait: '1m', retryDelay: 30_000, signal: controller.signal }));
      controller.abort(new Error('client went away'));
      expect(await waiting).toEqual({ error: new Error('client went away') });
    });

    it('gives back what it gets after the signal aborted', async () => {
      const controller = new AbortController();
      const taking = settle(locks.acquire('order:1', { signal: controller.signal }));
      controller.abort(new Error('client went away'));
      expect(await taking).toEqual({ error: new Error('client went away') });
      expect(await locks.isHeld('order:1')).toBe(false);
    });
  });

  describe('watching over the lease', () => {
    it('keeps a lock for longer than its ttl while it is held', async () => {
      const lock = await locks.acquire('order:1', { ttl: '3s' });
      await jest.advanceTimersByTimeAsync(20_000);
      expect(lock.signal.aborted).toBe(false);
      expect(lock.expiresAt).toBeGreaterThan(Date.now());
      expect(await locks.isHeld('order:1')).toBe(true);
      expect(await lock.release()).toBe(true);
    });

    it('stops renewing after the release', async () => {
      const lock = await locks.acquire('order:1', { ttl: '3s' });
      await lock.release();
      await jest.advanceTimersByTimeAsync(20_000);
      expect(countCalls('extend')).toBe(0);
    });

    it('aborts the signal before the lease ends when it is not renewed', async () => {
      const lock = await locks.acquire('order:1', { ttl: '3s', extend: false });
      let wasHeldAtAbort: boolean | undefined;
      lock.signal.addEventListener('abort', () => {
        void locks.isHeld('order:1').then((isHeld) => (wasHeldAtAbort = isHeld));
      });
      await jest.advanceTimersByTimeAsync(3_000);
      expect(lock.signal.reason).toBeInstanceOf(LockLostError);
      expect(wasHeldAtAbort).toBe(true);
      expect(countCalls('extend')).toBe(0);
    });

    it('was lost for its holder who gives it back a moment before the lease ends', async () => {
      const lock = await locks.acquire('order:1', { ttl: '3s', extend: false });
      await jest.advanceTimersByTimeAsync(2_980);
      expect(await locks.isHeld('order:1')).toBe(true);
      expect(await lock.release()).toBe(false);
      expect(await locks.isHeld('order:1')).toBe(false);
      expect(locks.getMetrics()).toMatchObject({ lost: 1, held: 0 });
    });

    it('ends once, however often it is given back', async () => {
      const lock = await locks.acquire('order:1');
      expect([await lock.release(), await lock.release(), await lock.release()]).toEqual([true, false, false]);
      expect(lock.signal.aborted).toBe(false);
      expect(countCalls('release')).toBe(1);
      expect(locks.getMetrics()).toMatchObject({ acquired: 1, lost: 0, held: 0 });
    });

    it('keeps nobody waiting in its process once it has ended by itself', async () => {
      // The first one who waits begins to listen, and looks once more for that.
      for (const resource of ['order:1', 'order:2']) {
        const lock = locks.readWrite(resource);
        await lock.read({ ttl: '1s', extend: false });
        await jest.advanceTimersByTimeAsync(1_100);
        const isWritten = jest.fn();
        void lock.write({ wait: '5s' }).then(isWritten);
        await jest.advanceTimersByTimeAsync(50);
        expect(isWritten).toHaveBeenCalled();
      }
    });

    it('is followed soon when it ends by itself, also by who has waited in its process', async () => {
      await locks.acquire('order:1', { ttl: '3s', extend: false });
      const isNext = jest.fn();
      void locks.acquire('order:1', { wait: '1m' }).then(isNext);
      await jest.advanceTimersByTimeAsync(2_990);
      expect(isNext).not.toHaveBeenCalled();
      await jest.advanceTimersByTimeAsync(130);
      expect(isNext).toHaveBeenCalled();
    });

    it('is not made shorter by an extension', async () => {
      const lock = await locks.acquire('order:1', { ttl: '5s' });
      await lock.extend('20s');
      await lock.extend('1s');
      expect(lock.expiresAt - Date.now()).toBeGreaterThan(15_000);
    });

    it('knows that it is over after a stalled event loop, before any timer has run', async () => {
      const lock = await locks.acquire('order:1', { ttl: '3s' });
      const stalled = performance.now() + 9_000;
      jest.spyOn(performance, 'now').mockImplementation(() => stalled);
      expect(lock.signal.aborted).toBe(true);
      jest.restoreAllMocks();
    });

    it('aborts the signal when a renewal learns that the lock is not ours', async () => {
      const lock = await locks.acquire('order:1', { ttl: '3s' });
      await locks.forceRelease('order:1');
      await jest.advanceTimersByTimeAsync(1_001);
      expect(lock.signal.aborted).toBe(true);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('survives renewals that fail, as long as one succeeds before the lease ends', async () => {
      const lock = await locks.acquire('order:1', { ttl: '9s' });
      store.fail('extend', 'refused', 3);
      await jest.advanceTimersByTimeAsync(9_000);
      expect(lock.signal.aborted).toBe(false);
      expect(countCalls('extend')).toBeGreaterThanOrEqual(4);
    });

    it.each(['refused', 'lost'] as const)('is lost at the end of the lease when every renewal is %s', async (fault) => {
      const lock = await locks.acquire('order:1', { ttl: '3s' });
      store.fail('extend', fault, 1_000);
      await jest.advanceTimersByTimeAsync(2_900);
      expect(lock.signal.aborted).toBe(false);
      await jest.advanceTimersByTimeAsync(100);
      expect(lock.signal.aborted).toBe(true);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('is extended by hand', async () => {
      const lock = await locks.acquire('order:1', { ttl: '3s', extend: false });
      await lock.extend('1m');
      await jest.advanceTimersByTimeAsync(50_000);
      expect(lock.signal.aborted).toBe(false);
      expect(await locks.isHeld('order:1')).toBe(true);
      await lock.release();
    });

    it('cannot be extended once it is lost, released or taken away', async () => {
      const lost = await locks.acquire('a', { ttl: '3s', extend: false });
      await jest.advanceTimersByTimeAsync(3_000);
      await expect(lost.extend()).rejects.toThrow(LockLostError);
      const released = await locks.acquire('b');
      await released.release();
      await expect(released.extend()).rejects.toThrow(LockLostError);
      const taken = await locks.acquire('c');
      await locks.forceRelease('c');
      await expect(taken.extend()).rejects.toThrow(LockLostError);
      expect(taken.signal.aborted).toBe(true);
    });

    it('tells a failed extension by hand from a lost lock', async () => {
      const lock = await locks.acquire('order:1');
      store.fail('extend', 'refused');
      await expect(lock.extend()).rejects.toThrow(LockUnavailableError);
      expect(lock.signal.aborted).toBe(false);
      await expect(lock.extend('11m')).rejects.toThrow(InvalidTtlError);
      await lock.release();
    });
  });

  describe('withLock', () => {
    it('holds the lock while the callback runs, and answers with its result', async () => {
      const wasHeld = await locks.withLock('order:1', async () => locks.isHeld('order:1'), 5);
      expect(wasHeld).toBe(true);
      expect(await locks.isHeld('order:1')).toBe(false);
    });

    it('gives the lock back when the callback fails, and passes its error on', async () => {
      const failure = new Error('no stock');
      await expect(locks.withLock('order:1', () => Promise.reject(failure))).rejects.toBe(failure);
      await expect(
        locks.withLock('order:1', () => {
          throw failure;
        }),
      ).rejects.toBe(failure);
      expect(await locks.isHeld('order:1')).toBe(false);
    });

    it('does not run the callback without the lock', async () => {
      await locks.acquire('order:1');
      const callback = jest.fn();
      await expect(locks.withLock('order:1', callback, 5, { wait: '0s' })).rejects.toThrow(LockConflictError);
      store.fail('acquire', 'refused');
      await expect(locks.withLock('order:2', callback)).rejects.toThrow(LockUnavailableError);
      expect(callback).not.toHaveBeenCalled();
    });

    it('reads its ttl in seconds, or as a duration', async () => {
      const lifeOf = (ttl: number | '90s') =>
        locks.withLock('order:1', (lock) => lock.expiresAt - Date.now(), ttl, { ttl: '1s' });
      expect(Math.round((await lifeOf(60)) / 1_000)).toBe(59);
      expect(Math.round((await lifeOf('90s')) / 1_000)).toBe(89);
    });

    it('rejects when the lock was lost before the callback ended', async () => {
      const work = settle(
        locks.withLock('order:1', (lock) => new Promise((done) => lock.signal.addEventListener('abort', done)), 3, {
          extend: false,
        }),
      );
      await jest.advanceTimersByTimeAsync(3_000);
      expect(await work).toEqual({ error: expect.any(LockLostError) as Error });
    });

    it('keeps the error of a callback that stopped because the lock was lost', async () => {
      const stopped = new Error('stopped');
      const stopWhenLost = (lock: { signal: AbortSignal }) =>
        new Promise((_, fail) => lock.signal.addEventListener('abort', () => fail(stopped)));
      const work = settle(locks.withLock('order:1', stopWhenLost, 3, { extend: false }));
      await jest.advanceTimersByTimeAsync(3_000);
      const { error } = (await work) as { error: Error };
      expect(isLockLostError(error)).toBe(true);
      expect(error.cause).toBe(stopped);
    });

    it('rejects when the lock was taken away unnoticed, because the work was not protected', async () => {
      const work = locks.withLock('order:1', () => locks.forceRelease('order:1'), 30);
      await expect(work).rejects.toThrow(LockLostError);
    });

    it('succeeds when only the release failed', async () => {
      store.fail('release', 'refused');
      expect(await locks.withLock('order:1', () => 'done')).toBe('done');
      store.fail('release', 'lost');
      expect(await locks.withLock('order:2', () => 'done')).toBe('done');
    });
  });

  describe('without the server', () => {
    it('refuses with 503 and when to come back', async () => {
      store.fail('acquire', 'refused');
      const { error } = (await settle(locks.acquire('order:1'))) as { error: LockUnavailableError };
      expect(error).toBeInstanceOf(LockUnavailableError);
      expect(error.getStatus()).toBe(503);
      expect(error.retryAfterMs).toBeGreaterThan(0);
      expect(error.cause).toBeInstanceOf(StoreUnavailableError);
    });

    it('finds its lock again when the answer was lost', async () => {
      jest.useRealTimers();
      store.fail('acquire', 'lost');
      const lock = await locks.acquire('order:1', { retryDelay: 5 });
      expect(countCalls('acquire')).toBe(2);
      expect(await lock.release()).toBe(true);
    });

    it('keeps asking while it is uncertain, also when the server has gone meanwhile', async () => {
      jest.useRealTimers();
      store.fail('acquire', 'refused', 3);
      const asked = locks.acquire('order:1', { retryDelay: 5, wait: '2s' });
      await expect(asked).rejects.toThrow(LockUnavailableError);
      expect(countCalls('acquire')).toBe(1);
      store.fail('acquire', 'lost');
      const lock = locks.acquire('order:1', { retryDelay: 5, wait: '2s' });
      await Promise.resolve();
      store.fail('acquire', 'refused', 3);
      expect(await (await lock).release()).toBe(true);
    });

    it('gives back what it may have got when it cannot find out in time', async () => {
      store.fail('acquire', 'lost', 1_000);
      await expect(locks.tryAcquire('order:1')).rejects.toThrow(LockUnavailableError);
      expect(countCalls('acquire')).toBe(1);
      expect(await locks.isHeld('order:1')).toBe(false);
    });

    it('does not begin on a lease that ended while the answer was on its way', async () => {
      jest.useRealTimers();
      store.delayMs = 60;
      const callback = jest.fn();
      await expect(locks.withLock('order:1', callback, '50ms', { wait: '0s' })).rejects.toThrow(LockUnavailableError);
      expect(callback).not.toHaveBeenCalled();
    });

    it('locks in this process when told so', async () => {
      store.fail('acquire', 'refused', 1_000);
      const lock = await locks.acquire('order:1', { onOutage: 'local' });
      expect(lock.degraded).toBe(true);
      expect(await locks.tryAcquire('order:1', { onOutage: 'local' })).toBeNull();
      await lock.extend();
      expect(await lock.release()).toBe(true);
      expect(await locks.tryAcquire('order:1', { onOutage: 'local' })).toMatchObject({ degraded: true });
    });

    it('answers release with false and the questions with 503', async () => {
      const lock = await locks.acquire('order:1');
      store.fail('release', 'refused');
      expect(await lock.release()).toBe(false);
      store.fail('isHeld', 'refused');
      await expect(locks.isHeld('order:1')).rejects.toThrow(LockUnavailableError);
      store.fail('forceRelease', 'lost');
      await expect(locks.forceRelease('order:1')).rejects.toThrow(LockUnavailableError);
    });
  });

  describe('by token', () => {
    it('takes the lock for a fixed time, watched by nobody', async () => {
      const token = await locks.acquireLock('order:1', 3_000);
      expect(token).toMatch(/^[0-9a-f]{32}$/);
      expect(await locks.acquireLock('order:1', 3_000)).toBeNull();
      expect(jest.getTimerCount()).toBe(0);
      await jest.advanceTimersByTimeAsync(3_001);
      expect(await locks.releaseLock('order:1', token!)).toBe(false);
      expect(await locks.acquireLock('order:1', 3_000)).not.toBeNull();
    });

    it('excludes those who take the lock as a handle', async () => {
      const token = await locks.acquireLock('order:1', 3_000);
      expect(await locks.tryAcquire('order:1')).toBeNull();
      expect(await locks.releaseLock('order:1', token!)).toBe(true);
      expect(await locks.tryAcquire('order:1')).not.toBeNull();
    });

    it.each(['', null, undefined, 42, 'x', '*', 'A'.repeat(32), 'f'.repeat(31), 'f'.repeat(33)])(
      'releases nothing with the token %j, and does not ask the server',
      async (token) => {
        await locks.acquireLock('order:1', 3_000);
        expect(await locks.releaseLock('order:1', token as string)).toBe(false);
        expect(countCalls('release')).toBe(0);
      },
    );

    it('releases nothing with the token of another lock', async () => {
      const [token, foreign] = [await locks.acquireLock('a', 3_000), await locks.acquireLock('b', 3_000)];
      expect(await locks.releaseLock('a', foreign!)).toBe(false);
      expect(await locks.isHeld('a')).toBe(true);
      expect(await locks.releaseLock('a', token!)).toBe(true);
    });

    it('rejects during an outage, even where locks may be local, because a token cannot tell', async () => {
      const lenient = new LockService(new LockKeeper(store), new KeySpace(KEY_DEFAULTS), {
        ttlMs: 1_000,
        retryDelayMs: 1,
        retryCount: 1,
        onOutage: 'local',
      });
      store.fail('acquire', 'refused');
      await expect(lenient.acquireLock('order:1', 3_000)).rejects.toThrow(LockUnavailableError);
      store.fail('release', 'refused');
      expect(await lenient.releaseLock('order:1', 'f'.repeat(32))).toBe(false);
    });
  });

  describe('several resources', () => {
    it('are taken together, under one token and one fence', async () => {
      const lock = await locks.acquire(['b', 'a', 'b'], { ttl: '20s' });
      expect(lock.resource).toBe('a,b');
      expect([await locks.isHeld('a'), await locks.isHeld('b')]).toEqual([true, true]);
      const { items } = await locks.list();
      expect(items.map(({ fence }) => fence)).toEqual([lock.fence, lock.fence]);
      expect(new Set(items.map(({ tokenHash }) => tokenHash)).size).toBe(1);
      expect(JSON.stringify(items)).not.toContain(lock.token);
      expect(await lock.release()).toBe(true);
      expect([await locks.isHeld('a'), await locks.isHeld('b')]).toEqual([false, false]);
      const next = await locks.acquire('b');
      expect(next.fence).toBeGreaterThan(lock.fence);
    });

    it('are not taken when one of them is held', async () => {
      await locks.acquire('b');
      expect(await locks.tryAcquire(['a', 'b', 'c'])).toBeNull();
      expect([await locks.isHeld('a'), await locks.isHeld('c')]).toEqual([false, false]);
    });

    it('are given back when the server fails in between', async () => {
      store.failAfter('acquire', 1);
      await expect(locks.acquire(['a', 'b'])).rejects.toThrow(LockUnavailableError);
      expect(await locks.isHeld('a')).toBe(false);
    });

    it('are lost together', async () => {
      const lock = await locks.acquire(['a', 'b'], { ttl: '3s' });
      await locks.forceRelease('b');
      await jest.advanceTimersByTimeAsync(1_100);
      expect(lock.signal.aborted).toBe(true);
      expect(await lock.release()).toBe(false);
    });

    it('end by themselves where they are not extended', async () => {
      const lock = await locks.acquire(['a', 'b'], { ttl: '3s', extend: false });
      await jest.advanceTimersByTimeAsync(3_000);
      expect(lock.signal.aborted).toBe(true);
      expect(jest.getTimerCount()).toBe(0);
    });

    it('never wait for each other, whatever the order they are named in', async () => {
      jest.useRealTimers();
      const turns = Array.from({ length: 10 }, (_, i) =>
        locks.withLock(i % 2 === 0 ? ['a', 'b'] : ['b', 'a'], () => sleep(1), 30, { wait: '20s' }),
      );
      expect(await Promise.all(turns)).toHaveLength(10);
    });
  });

  describe('shared', () => {
    it('lets readers in together, and a writer alone', async () => {
      const book = locks.readWrite('book');
      const readers = [await book.read(), await book.read()];
      expect(await locks.tryAcquire('book')).toBeNull();
      const writing = book.write({ wait: '10s' });
      const late = book.read({ wait: '10s' });
      for (const reader of readers) await reader.release();
      const writer = await writing;
      expect(await locks.tryAcquire('book')).toBeNull();
      await writer.release();
      await (await late).release();
      expect(await locks.isHeld('book')).toBe(false);
    });

    it('lets so many in, and the next one when one of them is done', async () => {
      jest.useRealTimers();
      const seats = locks.semaphore('seats', 2);
      let [inside, most] = [0, 0];
      const visit = async () => {
        const seat = await seats.acquire({ wait: '20s' });
        most = Math.max(most, ++inside);
        await sleep(1);
        inside -= 1;
        await seat.release();
      };
      await Promise.all(Array.from({ length: 12 }, visit));
      expect(most).toBe(2);
    });

    it.each([0, -1, 1.5, NaN, 10_001, '2'])('refuses %j permits', (permits) => {
      expect(() => locks.semaphore('seats', permits as number)).toThrow(InvalidOptionsError);
    });
  });

  describe('in the same work', () => {
    it('is refused at once, by its name', async () => {
      const inner = (resource: string) => locks.withLock(resource, () => locks.acquire('order:1', { wait: '1h' }));
      await expect(inner('order:1')).rejects.toMatchObject({ code: 'KEEP_LOCK_REENTRANCE', resource: 'order:1' });
      await expect(inner('lock:order:1')).rejects.toThrow(LockReentranceError);
      expect(await settle(inner('order:2'))).toHaveProperty('value');
    });

    it('is refused below several others, and for one of several', async () => {
      const deep = locks.withLock(['a', 'b'], () => locks.withLock('c', () => locks.tryAcquire(['d', 'b'])));
      await expect(deep).rejects.toThrow(LockReentranceError);
    });

    it('is known everywhere below, and nowhere else', async () => {
      expect(currentLock()).toBeUndefined();
      let after: (() => unknown) | undefined;
      await locks.withLock('a', async (outer) => {
        expect(currentLock()).toBe(outer);
        await locks.withLock('b', async (inner) => {
          await Promise.resolve();
          expect(currentLock()).toBe(inner);
        });
        expect(currentLock()).toBe(outer);
        let left: (() => unknown) | undefined;
        await locks.withLock('c', () => (left = AsyncResource.bind(() => currentLock())));
        expect(left!()).toBe(outer);
        after = AsyncResource.bind(() => currentLock());
      });
      expect(after!()).toBeUndefined();
      expect(currentLock()).toBeUndefined();
    });

    it('is not mistaken for that of another application', async () => {
      const other = new LockService(new LockKeeper(new MemoryLockStore()), new KeySpace(KEY_DEFAULTS));
      const nested = await locks.withLock('a', () => other.withLock('a', () => 'both'));
      expect(nested).toBe('both');
    });
  });

  describe('with replicas', () => {
    it.each([0, 1])('refuses, and leaves nothing behind, when only %i of 2 have it', async (replicas) => {
      store.replicas = replicas;
      await expect(locks.acquire('a', { replicas: 2 })).rejects.toThrow(LockUnavailableError);
      expect(await locks.isHeld('a')).toBe(false);
      store.fail('replicated', 'lost');
      await expect(locks.acquire('a', { replicas: 1, onOutage: 'local' })).rejects.toThrow(LockUnavailableError);
      store.replicas = 2;
      expect(await locks.tryAcquire('a', { replicas: 2 })).not.toBeNull();
    });

    it('asks nobody where none are wanted', async () => {
      await locks.acquire('a');
      expect(countCalls('replicated')).toBe(0);
    });
  });

  describe('in bulk', () => {
    it('lists what is held and who waits, here included', async () => {
      const lock = await locks.acquire('a', { ttl: '20s' });
      const waiting = Array.from({ length: 3 }, () => settle(locks.acquire('a', { wait: '50ms' })));
      const { items, cursor } = await locks.list();
      expect(cursor).toBeNull();
      expect(items).toEqual([
        {
          ...{ resource: 'a', fence: lock.fence, waiters: 3 },
          tokenHash: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
          ttlMs: expect.any(Number) as number,
        },
      ]);
      await jest.advanceTimersByTimeAsync(60);
      await Promise.all(waiting);
      expect((await locks.list()).items[0]!.waiters).toBe(0);
    });

    it.each([
      ['lock:a', 'a'],
      ['lock:', 'lock:'],
      ['lock: ', 'lock: '],
    ])('shows %j as %j: every lock has a name', async (name, shown) => {
      await locks.acquire(name);
      expect((await locks.list()).items.map(({ resource }) => resource)).toEqual([shown]);
      expect(await locks.isHeld(shown)).toBe(true);
    });

    it('ends all locks, or those of a pattern', async () => {
      for (const name of ['order:1', 'order:2', 'user:1', 'order*']) await locks.acquire(name);
      expect(await locks.releaseAll('order:*')).toBe(2);
      expect(await locks.isHeld('user:1')).toBe(true);
      expect(await locks.releaseAll('order\\*')).toBe(1);
      expect(await locks.releaseAll()).toBe(1);
      expect((await locks.list()).items).toEqual([]);
    });

    it.each([0, -1, 1.5, 1_001, '5'])('refuses pages of %j', async (limit) => {
      await expect(locks.list(null, limit as number)).rejects.toThrow(InvalidOptionsError);
      await expect(locks.releaseAll('')).rejects.toThrow(InvalidKeyError);
    });

    it('answers 503 without the server', async () => {
      store.fail('list', 'refused', 2);
      await expect(locks.list()).rejects.toThrow(LockUnavailableError);
      await expect(locks.releaseAll()).rejects.toThrow(LockUnavailableError);
    });
  });

  describe('wrong input', () => {
    const wrongResources = ['', '  ', undefined, null, 42, {}] as unknown as string[];

    it.each(wrongResources)('refuses the resource %j before asking the server', async (resource) => {
      await expect(locks.acquire(resource)).rejects.toThrow(InvalidKeyError);
      await expect(locks.tryAcquire(resource)).rejects.toThrow(InvalidKeyError);
      await expect(locks.withLock(resource, () => 1)).rejects.toThrow(InvalidKeyError);
      await expect(locks.isHeld(resource)).rejects.toThrow(InvalidKeyError);
      await expect(locks.forceRelease(resource)).rejects.toThrow(InvalidKeyError);
      await expect(locks.acquireLock(resource, 1_000)).rejects.toThrow(InvalidKeyError);
      await expect(locks.releaseLock(resource, 'f'.repeat(32))).rejects.toThrow(InvalidKeyError);
      expect(store.calls).toEqual([]);
    });

    it.each([undefined, null, 5, 'run', {}])('refuses the callback %j before asking the server', async (callback) => {
      await expect(locks.withLock('order:1', callback as never)).rejects.toThrow('callback: must be a function');
      expect(store.calls).toEqual([]);
    });

    it.each([[[]], [Array.from({ length: 101 }, (_, i) => `r${i}`)]])(
      'refuses no and too many resources',
      async (names) => {
        await expect(locks.acquire(names)).rejects.toThrow(InvalidOptionsError);
        await expect(locks.withLock(['a', ''], () => 1)).rejects.toThrow(InvalidKeyError);
        expect(store.calls).toEqual([]);
      },
    );

    it.each([0, -1, NaN, Infinity, 601, 1e9, '11m', '60', null])('refuses the ttl %j', async (ttl) => {
      await expect(locks.withLock('order:1', () => 1, ttl as number)).rejects.toThrow(InvalidTtlError);
      await expect(locks.acquire('order:1', { ttl: ttl as '1s' })).rejects.toThrow(InvalidOptionsError);
      expect(store.calls).toEqual([]);
    });

    it.each([0, -1, NaN, Infinity, 600_001, 1e9, '11m', '60', null])('refuses %j milliseconds', async (ttlMs) => {
      await expect(locks.acquireLock('order:1', ttlMs as number)).rejects.toThrow(InvalidTtlError);
      expect(store.calls).toEqual([]);
    });

    it('names every wrong option', async () => {
      const options = {
        wait: 5,
        retryCount: -1,
        retryDelay: '1s',
        extend: 'yes',
        onOutage: 'allow',
        replicas: -1,
        until: 1,
      };
      const { error } = (await settle(locks.acquire('order:1', options as object))) as { error: InvalidOptionsError };
      expect(error).toBeInstanceOf(InvalidOptionsError);
      for (const name of Object.keys(options)) expect(error.message).toContain(name);
      expect(store.calls).toEqual([]);
    });

    it('keeps resources apart whatever their names hold', async () => {
      const names = ['a', 'a*', 'a:b', 'a\r\nb', '__proto__', 'a'.repeat(5_000), `${'a'.repeat(5_000)}b`];
      for (const name of names) expect(await locks.tryAcquire(name)).not.toBeNull();
    });
  });
});
