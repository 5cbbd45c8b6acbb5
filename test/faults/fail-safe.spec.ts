import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheModuleOptions } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { gatedFactory } from '../support/gate.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

interface Burst {
  readonly runs: number;
  readonly values: readonly string[];
}

/** Long enough for a loaded machine, where the deadline itself is not what a test is about. */
const PATIENT = '2s';
/** What a shutdown may take, and what a loaded machine adds. */
const CLOSED_WITHIN_MS = 2_000 + 1_000;

describe('under fire', () => {
  let server: TestServers;
  const workers: Worker[] = [];
  const apps: CacheApp[] = [];

  const open = async (options: CacheModuleOptions = {}): Promise<CacheApp> => {
    const app = await openCacheApp({ ...options, redis: { url: server.url, commandTimeout: PATIENT } });
    apps.push(app);
    // A start on a loaded machine may take longer than its budget.
    await eventually(async () => (await app.cache.getStats()).mode === 'server');
    return app;
  };
  const burst = async (key: string): Promise<{ runs: number; values: Set<string> }> => {
    const bursts = await Promise.all(
      workers.map((worker) => worker.do<Burst>('burst', { key, callers: 250, factoryMs: 200 })),
    );
    return {
      runs: bursts.reduce((sum, { runs }) => sum + runs, 0),
      values: new Set(bursts.flatMap(({ values }) => values)),
    };
  };

  beforeEach(async () => {
    server = await startStandalone();
  });
  afterEach(async () => {
    await Promise.all([...apps.splice(0).map((app) => app.close()), ...workers.splice(0).map((each) => each.kill())]);
    await server.stop();
  });

  it('a thousand callers in four processes share one run of a factory, or one in each process without the server (F22)', async () => {
    workers.push(...(await startWorkers(4, { redis: { url: server.url, commandTimeout: PATIENT } })));
    const healthy = await burst('cold');
    expect([healthy.runs, healthy.values.size]).toEqual([1, 1]);
    await server.kill();
    await eventually(async () => {
      const stats = await Promise.all(workers.map((worker) => worker.call<{ mode: string }>('getStats')));
      expect(stats.map(({ mode }) => mode)).toEqual(Array(4).fill('degraded'));
    });
    const away = await burst('colder');
    expect([away.runs, away.values.size]).toEqual([4, 4]);
  });

  it('the server forgets its scripts again and again, and nobody notices (F54)', async () => {
    const { cache } = await open();
    let [flushes, failures] = [0, 0];
    const timer = setInterval(() => {
      server.ask('SCRIPT', 'FLUSH').then(
        () => flushes++,
        () => failures++,
      );
    }, 50);
    const end = performance.now() + 1_500;
    for (let i = 0; performance.now() < end; i++) {
      await Promise.all([
        cache.set(`set:${i}`, i, { ttl: '60s', tags: ['t'] }),
        cache.getOrSet(`load:${i}`, { ttl: '60s', tags: ['t'] }, () => i),
        cache.del(`set:${i - 1}`),
        cache.delByTag(`other:${i}`),
      ]);
      expect(await cache.getMany([`set:${i}`, `load:${i}`, `set:${i - 1}`])).toEqual([i, i, undefined]);
    }
    clearInterval(timer);
    expect(flushes).toBeGreaterThan(10);
    expect(failures).toBe(0);
    expect(cache.getMetrics()).toMatchObject({ errors: 0, failures: 0, rejectedFills: 0 });
    expect((await cache.getStats()).mode).toBe('server');
  });

  it.each([
    ['hangs', (each: TestServers) => each.pause()],
    ['is gone', (each: TestServers) => each.kill()],
  ] as const)('closes in time while the server %s, with what it still loads (F55)', async (_, hurt) => {
    const app = await openCacheApp({ redis: { url: server.url } });
    await app.cache.set('k', 1);
    const loads = Array.from({ length: 100 }, (_each, i) => app.cache.getOrSet(`load:${i}`, 60, () => sleep(300, i)));
    await sleep(50);
    await hurt(server);
    const startedAt = performance.now();
    await app.close();
    expect(performance.now() - startedAt).toBeLessThan(CLOSED_WITHIN_MS);
    expect(await Promise.all(loads)).toEqual([...Array(100).keys()]);
    server.resume();
  });

  it('gives what hangs five seconds, then closes all the same (F55)', async () => {
    const app = await openCacheApp({ redis: { url: server.url, commandTimeout: PATIENT } });
    const slow = gatedFactory(() => 'slow');
    void app.cache.getOrSet('hangs', 60, slow);
    await slow.entered;
    await app.cache.delByTag('whatever');
    const startedAt = performance.now();
    await app.close();
    const tookMs = performance.now() - startedAt;
    expect(tookMs).toBeGreaterThan(4_900);
    expect(tookMs).toBeLessThan(5_000 + CLOSED_WITHIN_MS);
  });
});
