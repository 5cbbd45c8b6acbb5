import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { CacheEngine } from '../../src/cache/cache-engine.ts';
import type { CacheModuleOptions, CacheService } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { gatedFactory } from '../support/gate.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

/** Deadline of one operation, and what a loaded machine may add to it. */
const DEADLINE_MS = 200;
const SLACK_MS = 300;
const HEALTHY_WITHIN_MS = 5_000;

const MANY: readonly string[] = Array.from({ length: 1_000 }, (_, index) => `many:${index}`);

const fails = (): never => {
  throw new Error('the source is away too');
};

describe('the cache without its server', () => {
  let server: TestServers;
  let proxy: FaultProxy;
  let raw: Redis;
  let apps: CacheApp[] = [];

  const open = async (url: string, options: CacheModuleOptions = {}): Promise<CacheApp> => {
    const app = await openCacheApp({ ...options, redis: { url } });
    apps.push(app);
    return app;
  };
  const openCut = (options?: CacheModuleOptions) => open(`redis://127.0.0.1:${proxy.port}`, options);
  const modeOf = async (app: CacheApp) => (await app.cache.getStats()).mode;
  const cut = async (app: CacheApp): Promise<void> => {
    proxy.mode = 'reject';
    proxy.cut();
    await eventually(async () => (await modeOf(app)) === 'degraded');
  };
  const heal = async (app: CacheApp): Promise<void> => {
    proxy.mode = 'pass';
    proxy.cut();
    await eventually(async () => (await modeOf(app)) === 'server', { withinMs: HEALTHY_WITHIN_MS });
  };

  beforeAll(async () => {
    server = await startStandalone();
    raw = new Redis(server.url);
    raw.on('error', () => undefined);
  });
  afterAll(async () => {
    raw.disconnect();
    await server.stop();
  });
  beforeEach(async () => {
    await raw.flushall();
    proxy = await FaultProxy.start(server.port);
  });
  afterEach(async () => {
    proxy.mode = 'pass';
    await Promise.all(apps.map((app) => app.close()));
    apps = [];
    await proxy.close();
  });

  it('goes on answering: reads from factories, writes and invalidations here', async () => {
    const app = await openCut();
    const { cache } = app;
    await cut(app);
    let runs = 0;
    const load = () => cache.getOrSet('k', 60, () => `run ${++runs}`);
    expect(await load()).toBe('run 1');
    expect(await load()).toBe('run 1');
    await cache.del('k');
    expect(await load()).toBe('run 2');
    await cache.set('s', { a: 1 }, 60);
    expect(await cache.get('s')).toEqual({ a: 1 });
    await cache.delByTag('t');
    expect(await cache.delPattern('s*')).toBe(1);
    expect(await cache.get('s')).toBeUndefined();
    await cache.reset();
    expect(await load()).toBe('run 3');
    await cache.publish('c', 1);
    expect(await cache.getStats()).toMatchObject({ mode: 'degraded', degradedSince: expect.any(Number) as number });
    expect((await cache.getStats()).journal).toBeGreaterThan(0);
  });

  it('serves nothing from before from the moment on that the server is lost', async () => {
    const app = await openCut();
    const { cache } = app;
    const local = app.module.get(CacheEngine).local;
    await eventually(async () => {
      await cache.set('k', 'before');
      await cache.get('k');
      expect(local.tier.read('k', false)).toBe('before');
    });
    proxy.mode = 'reject';
    proxy.cut();
    await eventually(() => cache.getLocalStats().mode === 'degraded', { everyMs: 1 });
    expect(await cache.get('k')).toBeUndefined();
    expect(await cache.getOrSet('k', 60, () => 'made here')).toBe('made here');
  });

  it('refuses what would be a wrong answer', async () => {
    const app = await openCut();
    await cut(app);
    await expect(app.cache.incr('n')).rejects.toMatchObject({ code: 'KEEP_STORE_UNAVAILABLE' });
    await expect(app.cache.sadd('s', 'm')).rejects.toMatchObject({ code: 'KEEP_STORE_UNAVAILABLE' });
    await expect(app.cache.acquireLock('l', 1_000)).rejects.toMatchObject({ code: 'KEEP_LOCK_UNAVAILABLE' });
    expect(await app.cache.checkRateLimit('r', 5, 60)).toBe(true);
  });

  it('runs a factory once for concurrent callers, and again soon: others cannot say what is wrong', async () => {
    const app = await openCut();
    await cut(app);
    let runs = 0;
    const load = () => app.cache.getOrSet('k', 60, () => ++runs);
    expect(await Promise.all([load(), load(), load()])).toEqual([1, 1, 1]);
    await eventually(async () => (await load()) === 2, { withinMs: 3_000 });
  });

  it('never serves again what was deleted meanwhile, here or anywhere else (F16)', async () => {
    const [a, b] = await Promise.all([openCut(), open(server.url)]);
    await a.cache.set('k', 'old', { ttl: '60s' });
    await a.cache.set('tagged', 'old', { ttl: '60s', tags: ['t'] });
    await a.cache.set('pattern:1', 'old');
    expect(await b.cache.getMany(['k', 'tagged', 'pattern:1'])).toEqual(['old', 'old', 'old']);
    await cut(a);
    await a.cache.del('k');
    await a.cache.delByTag('t');
    await a.cache.delPattern('pattern:*');
    expect(await a.cache.getMany(['k', 'tagged', 'pattern:1'])).toEqual([undefined, undefined, undefined]);
    await heal(a);
    expect(await a.cache.getMany(['k', 'tagged', 'pattern:1'])).toEqual([undefined, undefined, undefined]);
    await eventually(async () => {
      expect(await b.cache.getMany(['k', 'tagged', 'pattern:1'])).toEqual([undefined, undefined, undefined]);
    });
    expect((await a.cache.getStats()).journal).toBe(0);
  });

  it('replays what was set as a deletion: nobody gets a value that is older than the last one', async () => {
    const [a, b] = await Promise.all([openCut(), open(server.url)]);
    await b.cache.set('k', 'before');
    await cut(a);
    await a.cache.set('k', 'during');
    expect(await a.cache.get('k')).toBe('during');
    await b.cache.set('k', 'newest');
    await heal(a);
    expect(['newest', undefined]).toContain(await a.cache.get('k'));
    await eventually(async () => expect(['newest', undefined]).toContain(await b.cache.get('k')));
  });

  it('does not trust what it made alone once the server is back', async () => {
    const [a, b] = await Promise.all([openCut(), open(server.url)]);
    await cut(a);
    await a.cache.getOrSet('k', 60, () => 'alone');
    await b.cache.set('k', 'shared');
    await heal(a);
    expect(await a.cache.get('k')).toBe('shared');
  });

  it('lets no call wait for a frozen server much longer than the deadline (F02)', async () => {
    const app = await open(server.url);
    await app.cache.set('warm', 1);
    server.pause();
    try {
      const slowest = await slowestOf(10, () => app.cache.getOrSet(`cold:${Math.random()}`, 60, () => 1));
      expect(slowest).toBeLessThan(3 * (DEADLINE_MS + SLACK_MS));
      await app.cache.set('warm', 2);
    } finally {
      server.resume();
    }
    await eventually(async () => (await modeOf(app)) === 'server', { withinMs: HEALTHY_WITHIN_MS });
    await eventually(async () => [2, undefined].includes(await app.cache.get<number>('warm')));
    expect(await app.cache.get('warm')).not.toBe(1);
  });

  it.each<[string, (cache: CacheService) => Promise<unknown>]>([
    ['del', (cache) => cache.del(...MANY)],
    ['setMany', (cache) => cache.setMany(MANY.map((key) => [key, 1]))],
    ['getMany', (cache) => cache.getMany([...MANY])],
    ['reset', (cache) => cache.reset()],
  ])('lets %s of a thousand keys wait for a frozen server once', async (_, call) => {
    // As if it had answered a lot just now: it takes many calls without an answer to open its breaker.
    const app = await openCacheApp({
      redis: { url: server.url },
      circuitBreaker: { server: { failureThreshold: 1_000 } },
    });
    apps.push(app);
    await app.cache.getMany([...MANY]);
    server.pause();
    const startedAt = performance.now();
    try {
      await call(app.cache);
    } finally {
      server.resume();
    }
    expect(performance.now() - startedAt).toBeLessThan(DEADLINE_MS + 2 * SLACK_MS);
  });

  it.each<[string, (cache: CacheService) => Promise<unknown>]>([
    ['del', (cache) => cache.del('k')],
    ['delByTag', (cache) => cache.delByTag('t')],
    ['expireByTag', (cache) => cache.expireByTag('t')],
    ['delPattern', (cache) => cache.delPattern('k*')],
    ['reset', (cache) => cache.reset()],
  ])('forgets what it has set and made meanwhile with %s, too', async (name, invalidate) => {
    const app = await openCut();
    await cut(app);
    const load = (value: string) => app.cache.getOrSet('k:loaded', { ttl: '60s', tags: ['t'] }, () => value);
    await app.cache.set('k', 'set', { tags: ['t'] });
    expect([await app.cache.get('k'), await load('made')]).toEqual(['set', 'made']);
    await invalidate(app.cache);
    expect(await app.cache.get('k')).toBeUndefined();
    expect(await load('made anew')).toBe(name === 'del' ? 'made' : 'made anew');
  });

  it('takes note of every key of a large call that the server did not answer', async () => {
    const [a, b] = await Promise.all([open(server.url), open(server.url)]);
    await b.cache.setMany(MANY.map((key) => [key, 'old']));
    expect(await a.cache.getMany([...MANY])).not.toContain(undefined);
    server.pause();
    try {
      await a.cache.del(...MANY);
      expect((await a.cache.getStats()).journal).toBe(MANY.length);
      expect(await a.cache.getMany([...MANY])).toEqual(MANY.map(() => undefined));
    } finally {
      server.resume();
    }
    await eventually(async () => (await a.cache.getStats()).journal === 0, { withinMs: HEALTHY_WITHIN_MS });
    await eventually(async () => (await b.cache.getMany([...MANY])).every((value) => value === undefined));
  });

  it('does so, too, while caching is rolled out', async () => {
    const app = await openCut({ cache: { rolloutPercent: 50 } });
    const keys = Array.from({ length: 40 }, (_, index) => `rolled:${index}`);
    await cut(app);
    const runs = new Map<string, number>();
    const load = (key: string) => app.cache.getOrSet(key, 60, () => runs.set(key, (runs.get(key) ?? 0) + 1).size);
    for (let round = 0; round < 3; round++) for (const key of keys) await load(key);
    expect(new Set(runs.values())).toEqual(new Set([1, 3]));
    await app.cache.set('s', 'set');
    expect(await app.cache.get('s')).toBe('set');
  });

  it('never brings back a value whose write was executed late (F20)', async () => {
    const [a, b] = await Promise.all([openCut(), open(server.url)]);
    await a.cache.set('k', 'first');
    server.pause();
    try {
      await a.cache.set('k', 'old');
      proxy.cut();
      await a.cache.set('k', 'new');
    } finally {
      server.resume();
    }
    await eventually(async () => (await modeOf(a)) === 'server', { withinMs: HEALTHY_WITHIN_MS });
    await eventually(async () => (await a.cache.getStats()).journal === 0);
    await sleep(300);
    for (const { cache } of [a, b]) expect(['new', undefined]).toContain(await cache.get('k'));
  });

  it('keeps what a factory made when the answer to its fill was lost, and stores nothing old (F19)', async () => {
    const app = await openCut();
    const slow = gatedFactory(() => 'old');
    const loading = app.cache.getOrSet('k', 60, slow);
    await slow.entered;
    await cut(app);
    await app.cache.del('k');
    await heal(app);
    slow.open();
    expect(await loading).toBe('old');
    expect(await app.cache.get('k')).toBeUndefined();
  });

  it.each<[string, () => string]>([
    ['filled', () => 'made'],
    ['given up', fails],
  ])('leaves nobody waiting for a lease whose end the server has not heard of: %s', async (_, answer) => {
    const [a, b] = await Promise.all([openCut(), open(server.url)]);
    const slow = gatedFactory(() => undefined);
    const loading = a.cache.getOrSet('k', 60, () => slow().then(answer)).catch(() => 'failed');
    await slow.entered;
    await cut(a);
    slow.open();
    await loading;
    await heal(a);
    const startedAt = performance.now();
    expect(await Promise.all([a, b].map(({ cache }) => cache.getOrSet('k', 60, () => 'new')))).toEqual(['new', 'new']);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  it('bounds its journal and then invalidates everything, once (F26)', async () => {
    const [a, b] = await Promise.all([openCut(), open(server.url)]);
    await b.cache.setMany(Array.from({ length: 100 }, (_, index) => [`k${index}`, 'old']));
    await cut(a);
    for (let i = 0; i < 20_000; i += 500) {
      await a.cache.del(...Array.from({ length: 500 }, (_, index) => `k${i + index}`));
    }
    expect((await a.cache.getStats()).journal).toBeLessThanOrEqual(10_000);
    await heal(a);
    const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
    expect(new Set(await a.cache.getMany(keys))).toEqual(new Set([undefined]));
    await eventually(async () => expect(new Set(await b.cache.getMany(keys))).toEqual(new Set([undefined])));
  });

  it('serves nothing from memory after the server was restarted without its data (F15)', async () => {
    const [a, b] = await Promise.all([open(server.url), open(server.url)]);
    await a.cache.set('k', 'old');
    await eventually(async () => {
      await b.cache.get('k');
      return (await b.cache.getStats()).tiers.l1.entries === 1;
    });
    await server.restart();
    await eventually(async () => (await modeOf(a)) === 'server' && (await modeOf(b)) === 'server', {
      withinMs: HEALTHY_WITHIN_MS,
    });
    expect(await b.cache.get('k')).toBeUndefined();
    await a.cache.set('k', 'new');
    await eventually(async () => (await b.cache.get('k')) === 'new');
  });

  it('brings nothing back that the server has forgotten to forget', async () => {
    const app = await open(server.url);
    await app.cache.set('k', 'old');
    await raw.save();
    await app.cache.del('k');
    // It loads what it had saved, the deleted value with it.
    await server.restart();
    await eventually(async () => (await modeOf(app)) === 'server', { withinMs: HEALTHY_WITHIN_MS });
    expect(await raw.exists('app:v1:k')).toBe(1);
    expect(await app.cache.get('k')).toBeUndefined();
  });

  it('starts without a server, and uses it once it appears (F13)', async () => {
    await server.kill();
    const app = await open(server.url);
    expect(await modeOf(app)).toBe('degraded');
    expect(await app.cache.getOrSet('k', 60, () => 'factory')).toBe('factory');
    await server.restart();
    await eventually(async () => (await modeOf(app)) === 'server', { withinMs: HEALTHY_WITHIN_MS });
    await app.cache.set('k', 'stored');
    expect(await raw.exists('app:v1:k')).toBe(1);
  });

  it('stays within its bounds of memory when it is flooded', async () => {
    const app = await openCut({ cache: { l1: { maxEntries: 1_000, maxBytes: '1mb' } } });
    await cut(app);
    for (let i = 0; i < 20_000; i++) await app.cache.set(`flood:${i}`, 'x'.repeat(100));
    const { tiers } = await app.cache.getStats();
    expect(tiers.l1.entries).toBeLessThanOrEqual(1_000);
    expect(tiers.l1.bytes).toBeLessThanOrEqual(1024 ** 2);
  });

  it('serves stale values in grace while source and server are both away', async () => {
    const app = await openCut();
    const options = { ttl: '60s', grace: '60s' } as const;
    const tagged = { ...options, tags: ['t'] } as const;
    await app.cache.getOrSet('k', options, () => 'kept');
    await app.cache.getOrSet('deleted', options, () => 'wrong');
    await app.cache.getOrSet('tagged', tagged, () => 'wrong');
    await eventually(async () => {
      await app.cache.getMany(['k', 'deleted', 'tagged']);
      return (await app.cache.getStats()).tiers.l1.entries === 3;
    });
    await cut(app);
    expect(await app.cache.getOrSet('k', options, fails)).toBe('kept');
    expect(await app.cache.getOrSet('k', options, () => 'fresh')).toBe('kept');
    await app.cache.del('deleted');
    await app.cache.delByTag('t');
    await expect(app.cache.getOrSet('deleted', options, fails)).rejects.toThrow('away too');
    await expect(app.cache.getOrSet('tagged', tagged, fails)).rejects.toThrow('away too');
    await expect(app.cache.getOrSet('k', '60s', fails)).rejects.toThrow('away too');
  });
});

async function slowestOf(times: number, act: () => Promise<unknown>): Promise<number> {
  let slowest = 0;
  for (let i = 0; i < times; i++) {
    const startedAt = performance.now();
    await act();
    slowest = Math.max(slowest, performance.now() - startedAt);
  }
  return slowest;
}
