import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describeCacheServiceContract } from '../contracts/cache-service.contract.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { gatedFactory } from '../support/gate.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

describeCacheServiceContract('memory', async () => ({ options: { redis: false } }));

describe('on a server', () => {
  let server: TestServers;
  let app: CacheApp;
  let raw: Redis;

  beforeAll(async () => {
    server = await startStandalone();
    app = await openCacheApp({ redis: { url: server.url } });
    raw = new Redis(server.url);
  });
  afterAll(async () => {
    await app.close();
    raw.disconnect();
    await server.stop();
  });

  describeCacheServiceContract('server', async () => ({ options: { redis: { url: server.url } } }));

  it('names its keys by prefix and version', async () => {
    await app.cache.set('profile:user:42', 1);
    expect(await raw.exists('app:v1:profile:user:42')).toBe(1);
  });

  it('serves from memory what is cached while caching is rolled out', async () => {
    const half = await openCacheApp({ redis: { url: server.url }, cache: { rolloutPercent: 50 } });
    const keys = Array.from({ length: 40 }, (_, index) => `rolled:${index}`);
    const load = () => Promise.all(keys.map((key) => half.cache.getOrSet(key, 60, () => key)));
    const lookups = async () =>
      [...(await raw.info('commandstats')).matchAll(/cmdstat_m?get:calls=(\d+)/g)].reduce(
        (n, [, c]) => n + Number(c),
        0,
      );
    try {
      await eventually(async () => {
        await load();
        const before = await lookups();
        await load();
        expect(await lookups()).toBe(before);
      });
    } finally {
      await half.close();
    }
  });

  it('leaves the keys of others alone', async () => {
    const foreign = ['other', 'app:v2:x', 'app:v10:x', 'app:v1x', 'application:v1:x', 'xapp:v1:y'];
    await raw.mset(Object.fromEntries(foreign.map((key) => [key, '1'])));
    await app.cache.set('mine', 1);
    await app.cache.delPattern('*');
    await app.cache.reset();
    expect(await raw.exists(...foreign)).toBe(foreign.length);
    expect(await raw.exists('app:v1:mine')).toBe(0);
  });

  it('reads what another program wrote as JSON, and garbage as nothing (F27)', async () => {
    await raw.set('app:v1:foreign', '{"a":[1,2]}');
    expect(await app.cache.get('foreign')).toEqual({ a: [1, 2] });
    expect(await app.cache.getOrSet('foreign', 60, () => 'not called')).toEqual({ a: [1, 2] });
    for (const garbage of ['not json', '~1Vshort', '~1', '~1V' + 'x'.repeat(200), '\u0000\u0001']) {
      await app.cache.del('garbage');
      await raw.set('app:v1:garbage', garbage);
      app.cache.resetMetrics();
      expect(await app.cache.get('garbage')).toBeUndefined();
      expect(app.cache.getMetrics().corrupt).toBe(1);
      expect(await app.cache.getOrSet('garbage', 60, () => 'repaired')).toBe('repaired');
      expect(await app.cache.get('garbage')).toBe('repaired');
    }
  });

  it('repairs an entry whose bytes were damaged (F27)', async () => {
    for (const at of [3, 50, 76, 97, 98, 103, 110, 160]) {
      await app.cache.set('damaged', { a: 'x'.repeat(100) });
      await raw.setrange('app:v1:damaged', at, '\u00ff!');
      const value = await app.cache.getOrSet('damaged', 60, () => 'repaired');
      expect(['string', 'object']).toContain(typeof value);
      await app.cache.getOrSet('damaged', 60, () => 'again');
    }
  });

  it('leaves no entry that nobody can read, also when there is nothing to put in its place (F27)', async () => {
    await app.cache.set('source', { a: 1 });
    // Under another name, so that no process holds it in memory.
    await raw.rename('app:v1:source', 'app:v1:unreadable');
    await raw.setrange('app:v1:unreadable', 97, '?');
    const failing = app.cache.getOrSet('unreadable', 60, () => Promise.reject(new Error('away')));
    await expect(failing).rejects.toThrow('away');
    expect(await raw.exists('app:v1:unreadable')).toBe(0);
  });

  it('never gives a key an older version, also when the clock of the server went back', async () => {
    await app.cache.set('clock', 1);
    await raw.setrange('app:v1:clock', 75, '9000000000000000');
    await app.cache.set('clock', 2);
    const header = await raw.getrange('app:v1:clock', 75, 90);
    expect(Number(header)).toBeGreaterThan(9_000_000_000_000_000);
    expect(await app.cache.get('clock')).toBe(2);
  });

  it('works on after the server has lost everything', async () => {
    await app.cache.set('a', 1, { tags: ['t'] });
    await raw.flushall();
    expect(await app.cache.get('a')).toBeUndefined();
    await app.cache.set('a', 2, { tags: ['t'] });
    expect(await app.cache.get('a')).toBe(2);
    expect(await app.cache.getOrSet('b', { tags: ['t'] }, () => 3)).toBe(3);
    expect(await app.cache.get('b')).toBe(3);
  });

  it('keeps its lease while a factory runs', async () => {
    const slow = gatedFactory(() => 'slow');
    const loaded = app.cache.getOrSet('leased', 60, slow);
    await slow.entered;
    await sleep(2_500);
    expect(await raw.pttl('app:v1:leased')).toBeGreaterThan(8_200);
    slow.open();
    await loaded;
  });

  it('lets nobody join a load whose key somebody deleted on the server', async () => {
    const slow = gatedFactory(() => 'old');
    const loaded = app.cache.getOrSet('taken', 60, slow);
    await slow.entered;
    await raw.del('app:v1:taken');
    await sleep(2_200);
    expect(await app.cache.getOrSet('taken', 60, () => 'new')).toBe('new');
    slow.open();
    await loaded;
    expect(await app.cache.get('taken')).toBe('new');
  });

  it('keeps no key without a time to live, collections excepted', async () => {
    await raw.flushall();
    await app.cache.set('a', 1, { tags: ['t'] });
    await app.cache.getOrSet('b', 60, () => 1);
    await app.cache.delByTag('t');
    await app.cache.namespace('n').reset();
    await app.cache.acquireLock('l', 1_000);
    await app.cache.checkRateLimit('r', 1, 60);
    for (const key of await raw.keys('*')) expect([key, await raw.pttl(key)]).not.toEqual([key, -1]);
  });

  it('says what it is connected to', async () => {
    expect(app.cache.isRedisAvailable()).toBe(true);
    expect(await app.cache.getClient()?.ping()).toBe('PONG');
    expect(await app.cache.getStats()).toMatchObject({ mode: 'server', journal: 0, degradedSince: null });
  });
});
