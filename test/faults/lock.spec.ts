import { setTimeout as sleep } from 'node:timers/promises';
import { Test } from '@nestjs/testing';
import {
  CacheModule,
  type CacheModuleOptions,
  LockLostError,
  LockService,
  LockUnavailableError,
} from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { type Hold, lockViolations } from '../support/history.ts';
import { startWithMovableClock } from '../support/moved-clock.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

const TTL_MS = 700;
const HOLD = { ttl: `${TTL_MS}ms` } as const;
/** A deadline that a busy machine keeps. */
const PATIENT = '5s';

/** What remembers the greatest fence it has seen, and refuses what comes with a smaller one. */
class Ledger {
  #greatest = 0;
  accept(fence: number): boolean {
    if (fence <= this.#greatest) return false;
    this.#greatest = fence;
    return true;
  }
}

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function server(): Promise<TestServers> {
  const servers = await startStandalone();
  stops.push(() => servers.stop());
  return servers;
}
const optionsFor = (port: number, commandTimeout: '200ms' | '5s' = PATIENT): CacheModuleOptions => ({
  redis: { url: `redis://${HOST}:${port}`, commandTimeout },
  logLevel: 'fatal',
});
async function open(options: CacheModuleOptions) {
  const app = await Test.createTestingModule({ imports: [CacheModule.forRoot(options)] })
    .compile()
    .then((module) => module.init());
  return { app, locks: app.get(LockService) };
}
async function locksOn(port: number, commandTimeout?: '200ms'): Promise<LockService> {
  const { app, locks } = await open(optionsFor(port, commandTimeout));
  stops.push(() => app.close());
  return locks;
}

interface Grant {
  readonly fence: number;
  readonly at: number;
}

describe('locks of several processes', () => {
  let servers: TestServers;
  let four: Worker[];
  let locks: LockService;
  let close: () => Promise<void>;
  beforeAll(async () => {
    servers = await startStandalone();
    four = await startWorkers(4, optionsFor(servers.port), 'lock-worker.mjs');
    const application = await open(optionsFor(servers.port));
    locks = application.locks;
    close = () => application.app.close();
  });
  afterAll(async () => {
    await Promise.all(four.map((worker) => worker.kill()));
    await close();
    await servers.stop();
  });

  it('F36: are taken in turns, and everybody is served', async () => {
    const work = { resource: 'hot', callers: 5, times: 5, sectionMs: 1, options: { wait: '60s' } };
    const holds = (await Promise.all(four.map((worker) => worker.do<Hold[]>('contend', work)))).flat();
    expect(holds).toHaveLength(100);
    expect(lockViolations(holds)).toEqual([]);
    const waits = holds.map(({ askedAt, from }) => from - askedAt);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    expect(Math.max(...waits)).toBeLessThan(10 * mean);
  });

  it.each(['stalls its event loop (F38)', 'is stopped (F39)'])(
    'are lost by a holder that %s, who knows',
    async (how) => {
      const [late, next] = four as [Worker, Worker];
      const ledger = new Ledger();
      const lostBefore = (await late.do<{ lost: number }>('metrics')).lost;
      const first = await late.do<Grant>('hold', { resource: how, options: HOLD });
      const isStopped = how.startsWith('is stopped');
      if (isStopped) late.signal('SIGSTOP');
      const stalled = isStopped ? undefined : late.do<object>('stall', { resource: how, ms: 3 * TTL_MS });
      const second = await next.do<Grant>('hold', { resource: how, options: { ttl: '30s', wait: '20s' } });
      expect(ledger.accept(second.fence)).toBe(true);
      if (isStopped) {
        await sleep(2 * TTL_MS);
        late.signal('SIGCONT');
      }
      const seen = await (stalled ?? late.do<object>('state', { resource: how }));
      expect(seen).toMatchObject({ isAborted: true });
      expect(ledger.accept(first.fence)).toBe(false);
      expect(await late.do('release', { resource: how })).toBe(false);
      expect(await late.do('metrics')).toMatchObject({ lost: lostBefore + 1 });
      expect(await next.do('state', { resource: how })).toMatchObject({ isAborted: false });
      expect(await next.do('release', { resource: how })).toBe(true);
    },
  );

  it('F37: are free after their ttl when the holder is killed; a dead waiter holds nobody up for long', async () => {
    const [, , holder, waiter] = four as [Worker, Worker, Worker, Worker];
    const first = await holder.do<Grant>('hold', { resource: 'r', options: HOLD });
    void waiter.do('hold', { resource: 'r', options: { wait: '60s' } }).catch(() => undefined);
    await eventually(async () => (await locks.list()).items.find(({ resource }) => resource === 'r')?.waiters === 1);
    await Promise.all([holder.kill(), waiter.kill()]);
    const killedAt = performance.now();
    const lock = await locks.acquire('r', { wait: '20s' });
    expect(lock.fence).toBeGreaterThan(first.fence);
    expect(performance.now() - killedAt).toBeLessThan(TTL_MS + 2_000 + 3_000);
    await lock.release();
  });
});

describe('locks under faults', () => {
  it('F40: finds its own lock again when the reply was lost, and never waits for itself', async () => {
    const { port } = await server();
    const proxy = await FaultProxy.start(port);
    stops.push(() => proxy.close());
    const locks = await locksOn(proxy.port);
    await locks.withLock('warm', () => undefined);
    for (let round = 0; round < 3; round++) {
      proxy.mode = 'cut-after-request';
      const asked = locks.acquire('r', { ttl: '20s', wait: '15s', retryDelay: 20 });
      await eventually(() => !locks.getMetrics().held);
      await sleep(50);
      proxy.mode = 'pass';
      const lock = await asked.catch(() => undefined);
      // Refused, because the connection was known to be gone: then nothing is left behind either.
      const wasGivenBack = lock === undefined ? undefined : await lock.release();
      expect(wasGivenBack).not.toBe(false);
      await eventually(async () => !(await locks.isHeld('r')), { withinMs: 10_000 });
    }
  });

  it('F41: answers soon that it cannot be taken, and ends what cannot be prolonged', async () => {
    const servers = await server();
    const locks = await locksOn(servers.port, '200ms');
    const lock = await eventually(() => locks.acquire('held', HOLD));
    const lost = new Promise((resolve) => lock.signal.addEventListener('abort', resolve));
    await servers.kill();
    const askedAt = performance.now();
    await expect(locks.acquire('r', { wait: '10s' })).rejects.toThrow(LockUnavailableError);
    expect(performance.now() - askedAt).toBeLessThan(2_000);
    await lost;
    expect(await lock.release()).toBe(false);
    await servers.restart();
    await eventually(async () => (await locks.tryAcquire('held'))?.release(), { withinMs: 15_000 });
  });

  it('F42: the holder hears soon that the server lost its data, and the next fence is greater', async () => {
    const servers = await server();
    const locks = await locksOn(servers.port);
    const lock = await locks.acquire('r', { ttl: '5m' });
    await servers.restart();
    await eventually(() => lock.signal.aborted, { withinMs: 10_000 });
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    const next = await eventually(() => locks.acquire('r', { ttl: '5m' }), { withinMs: 10_000 });
    expect(next.fence).toBeGreaterThan(lock.fence);
    await next.release();
  });

  it('F43: is not given out before the replicas have it', async () => {
    const [primary, replica] = [await server(), await server()];
    const link = await FaultProxy.start(primary.port);
    stops.push(() => link.close());
    await replica.ask('REPLICAOF', HOST, String(link.port));
    await eventually(async () => (await replica.ask('INFO', 'replication')).includes('master_link_status:up'), {
      withinMs: 15_000,
    });
    const [before, after] = [await locksOn(primary.port), await locksOn(replica.port)];
    const safe = await eventually(() => before.acquire('safe', { replicas: 1, ttl: '5m' }), { withinMs: 10_000 });
    link.mode = 'blackhole';
    await expect(before.acquire('unsafe', { replicas: 1 })).rejects.toThrow(LockUnavailableError);
    expect(await before.isHeld('unsafe')).toBe(false);
    await expect(before.acquire('safe:2', { replicas: 2 })).rejects.toThrow(LockUnavailableError);
    const risky = await before.acquire('risky', { ttl: '5m' });
    await replica.ask('REPLICAOF', 'NO', 'ONE');
    await eventually(async () => after.isHeld('safe'), { withinMs: 15_000 });
    expect(await after.tryAcquire('safe')).toBeNull();
    // What was not waited for may be held twice: the fences tell who is late.
    const second = await after.acquire('risky', { ttl: '5m' });
    expect(second.fence).toBeGreaterThan(risky.fence);
    for (const lock of [safe, risky, second]) await lock.release();
  });

  it('F44: survives a server clock that is set', async () => {
    const moved = await startWithMovableClock();
    if (moved === undefined) return;
    stops.push(() => moved.stop());
    const locks = await locksOn(moved.servers.port);
    const first = await locks.acquire('r', { ttl: '6s' });
    moved.moveTo(60);
    const second = await eventually(() => locks.acquire('r', { ttl: '30s', wait: '1s' }), { withinMs: 10_000 });
    expect(second.fence).toBeGreaterThan(first.fence);
    await eventually(() => first.signal.aborted, { withinMs: 10_000 });
    expect(second.signal.aborted).toBe(false);
    await second.release();
    moved.moveTo(0);
    const third = await eventually(() => locks.acquire('r', { wait: '1s' }), { withinMs: 10_000 });
    expect(third.fence).toBeGreaterThan(second.fence);
    await third.release();
  });

  it('F54: does not notice that the server forgets its scripts', async () => {
    const servers = await server();
    const locks = await locksOn(servers.port);
    let isDone = false as boolean;
    const flushing = (async () => {
      while (!isDone) {
        await servers.ask('SCRIPT', 'FLUSH');
        await sleep(20);
      }
    })();
    const turns = Array.from({ length: 60 }, (_, i) =>
      locks.withLock(`r:${i % 3}`, () => sleep(1), 30, { wait: '60s' }),
    );
    await Promise.all(turns).finally(() => (isDone = true));
    await flushing;
    expect(locks.getMetrics()).toMatchObject({ acquired: 60, lost: 0, unavailable: 0 });
  });

  describe('F55: an application that closes', () => {
    it('gives back what nobody is known to work under, and ends all waits', async () => {
      const { port } = await server();
      const { app, locks } = await open(optionsFor(port));
      const others = await locksOn(port);
      const held = await Promise.all(Array.from({ length: 10 }, (_, i) => locks.acquire(`r:${i}`, { ttl: '5m' })));
      const waiting = locks.acquire('r:0', { wait: '1m' }).catch((error: unknown) => error);
      const startedAt = performance.now();
      await app.close();
      expect(performance.now() - startedAt).toBeLessThan(4_000);
      expect(await waiting).toBeInstanceOf(LockUnavailableError);
      expect(held.every(({ signal }) => signal.aborted)).toBe(true);
      for (let i = 0; i < 10; i++) expect(await others.isHeld(`r:${i}`)).toBe(false);
      await expect(locks.acquire('r:1')).rejects.toThrow(LockUnavailableError);
    });

    it('waits for the work under a lock', async () => {
      const { port } = await server();
      const { app, locks } = await open(optionsFor(port));
      const others = await locksOn(port);
      let isDone = false as boolean;
      const work = locks.withLock('r', async (lock) => {
        await sleep(700);
        isDone = !lock.signal.aborted && (await others.isHeld('r'));
      });
      await eventually(() => others.isHeld('r'));
      await app.close();
      expect(isDone).toBe(true);
      await work;
      expect(await others.isHeld('r')).toBe(false);
    });

    it('ends also while the server hangs', async () => {
      const servers = await server();
      const { app, locks } = await open(optionsFor(servers.port, '200ms'));
      await eventually(() => locks.acquire('r', { ttl: '5m' }));
      servers.pause();
      stops.push(async () => {
        servers.resume();
        return Promise.resolve();
      });
      const startedAt = performance.now();
      await app.close();
      expect(performance.now() - startedAt).toBeLessThan(4_000);
    });
  });
});
