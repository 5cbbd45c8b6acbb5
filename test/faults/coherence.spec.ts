import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { CacheEngine } from '../../src/cache/cache-engine.ts';
import type { CacheService } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { gatedFactory } from '../support/gate.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

/** The promise is two seconds; the rest is for a machine that is slow today. */
const BOUND_MS = 2_500;

const WAYS: readonly (readonly [name: string, invalidate: (cache: CacheService, key: string) => Promise<unknown>])[] = [
  ['del', (cache, key) => cache.del(key)],
  ['set', (cache, key) => cache.set(key, 'new')],
  ['delByTag', (cache) => cache.delByTag('story')],
  ['expireByTag', (cache) => cache.expireByTag('story')],
  ['delPattern', (cache, key) => cache.delPattern(`${key}*`)],
  ['reset', (cache) => cache.reset()],
];

describe.each(['pubsub', 'tracking'] as const)('memory of several processes, coherent by %s', (coherence) => {
  let server: TestServers;
  let proxy: FaultProxy;
  let raw: Redis;
  let a: CacheApp;
  let b: CacheApp;
  let sequence = 0;
  let key: string;
  let source: string;

  /** What B answers, from its memory or not. */
  const readB = (of = key) => b.cache.getOrSet(of, { ttl: '60s', tags: ['story'] }, () => source);

  /** What B holds in its memory and would serve without asking anybody. */
  const heldByB = (of = key) => b.module.get(CacheEngine).local.tier.read(of, true);

  const warmUpB = async (of = key) => {
    source = 'old';
    await a.cache.del(of);
    await eventually(async () => (await readB(of)) === 'old' && heldByB(of) === 'old', { withinMs: 10_000 });
    source = 'new';
  };

  beforeAll(async () => {
    server = await startStandalone();
    proxy = await FaultProxy.start(server.port);
    proxy.onlySubscribers = true;
    raw = new Redis(server.url);
    const options = { commandTimeout: '1s' } as const;
    a = await openCacheApp({ redis: { url: server.url, ...options }, cache: { coherence } });
    b = await openCacheApp({ redis: { url: `redis://127.0.0.1:${proxy.port}`, ...options }, cache: { coherence } });
  });
  afterAll(async () => {
    await Promise.all([a.close(), b.close()]);
    raw.disconnect();
    await proxy.close();
    await server.stop();
  });
  beforeEach(async () => {
    proxy.mode = 'pass';
    key = `coherent:${sequence++}`;
    await warmUpB();
  });

  it('serves a hit without asking the server', async () => {
    const calls = async () => /cmdstat_m?get:calls=\d+/g.exec(await raw.info('commandstats'))?.[0];
    const before = await calls();
    expect(await b.cache.get(key)).toBe('old');
    expect(await readB()).toBe('old');
    expect(await calls()).toBe(before);
  });

  it.each(WAYS)('forgets what another process invalidated with %s', async (_, invalidate) => {
    await invalidate(a.cache, key);
    await eventually(async () => (await readB()) === 'new', { withinMs: BOUND_MS });
  });

  it.each(WAYS)('forgets at once what this process invalidated with %s', async (_, invalidate) => {
    await invalidate(b.cache, key);
    expect(await readB()).toBe('new');
  });

  it('does not serve a value longer than another process wants it to live', async () => {
    await a.cache.set(key, 'old', '60s');
    await eventually(async () => (await b.cache.get(key)) === 'old');
    expect(await a.cache.expire(key, '50ms')).toBe(true);
    await eventually(async () => (await readB()) === 'new', { withinMs: BOUND_MS });
  });

  it('is fresh again two seconds after an invalidation it was cut off from (F17)', async () => {
    proxy.mode = 'reject';
    proxy.cut();
    await a.cache.del(key);
    await sleep(300);
    proxy.mode = 'pass';
    await eventually(async () => (await readB()) === 'new', { withinMs: BOUND_MS });
  });

  it('serves none of what it held before a gap, also when it has looked at something else meanwhile', async () => {
    const another = `${key}:another`;
    await eventually(async () => {
      await warmUpB(another);
      await warmUpB();
      return heldByB(another) === 'old';
    });
    proxy.mode = 'reject';
    proxy.cut();
    await a.cache.del(key);
    proxy.mode = 'pass';
    await raw.del(`app:v1:${another}`);
    await eventually(async () => (await readB(another)) === 'new' && heldByB(another) === 'new');
    expect(await readB()).toBe('new');
  });

  it('distrusts its memory at the moment its subscription is in force again', async () => {
    let heldAfterwards: unknown = 'not told yet';
    const look = () => setImmediate(() => (heldAfterwards = heldByB()));
    const end = await b.cache.subscribe('anything', () => undefined, { onResync: () => void look() });
    await warmUpB();
    proxy.cut();
    await eventually(() => expect(heldAfterwards).toBeUndefined());
    await end();
  });

  it('holds values again after its commands had lost their connection for a moment', async () => {
    await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await eventually(() => a.cache.isRedisAvailable() && b.cache.isRedisAvailable());
    // Whatever else is invalidated stays its own matter, once both have heard of each other again.
    await eventually(async () => {
      await warmUpB();
      await a.cache.delByTag('another story');
      await sleep(50);
      return heldByB() === 'old';
    });
  });

  it('is fresh two seconds after an invalidation although its connection is deaf and looks alive (F18)', async () => {
    const { accepted } = proxy;
    proxy.mode = 'blackhole';
    await a.cache.del(key);
    await eventually(async () => (await readB()) === 'new', { withinMs: BOUND_MS });
    // As long as it is deaf, memory serves nothing; and it does not stay deaf.
    expect(heldByB()).toBeUndefined();
    await eventually(() => proxy.accepted > accepted, { withinMs: 6_000 });
    // Nobody cuts what is deaf: each connection is given up for another one.
    proxy.mode = 'pass';
    await warmUpB();
    proxy.cut();
    await warmUpB();
  });

  it('does not trust a connection that delivers, but late', async () => {
    proxy.latencyMs = 1_700;
    await a.cache.del(key);
    try {
      await eventually(async () => (await readB()) === 'new', { withinMs: BOUND_MS });
      expect(heldByB()).toBeUndefined();
    } finally {
      proxy.latencyMs = 0;
    }
    await warmUpB();
  });

  it.each([
    ['not JSON', 'garbage'],
    ['a list', '[]'],
    ['a notice without keys', '{"from":"x","run":0,"seq":1}'],
    ['keys that are not texts', '{"from":"x","run":0,"seq":1,"keys":[1,{}]}'],
    ['a prototype', '{"__proto__":{"polluted":1},"from":"x","run":0,"seq":1,"keys":["toString"]}'],
    ['two megabytes', JSON.stringify({ from: 'x', run: 0, seq: 1, keys: ['k'.repeat(2 * 1024 ** 2)] })],
  ])('is not disturbed by a forged notice: %s', async (_, notice) => {
    await raw.publish('app:v1@notice', notice);
    await raw.publish('app:v1@wake', notice);
    await a.cache.del(key);
    await eventually(async () => (await readB()) === 'new', { withinMs: BOUND_MS });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('is not disturbed by notices that come twice, late and in the wrong order (F53)', async () => {
    const captured: string[] = [];
    const listener = new Redis(server.url);
    await listener.subscribe('app:v1@notice');
    listener.on('message', (_, notice: string) => {
      if (!notice.includes('told')) captured.push(notice);
    });
    await a.cache.del(key);
    await a.cache.delByTag('story');
    await eventually(() => captured.length === 2);
    listener.disconnect();
    source = 'newest';
    await eventually(async () => (await readB()) === 'newest' && heldByB() === 'newest');
    // Each only has it look again: nothing older comes back, and what is loaded meanwhile is still invalidated.
    const slow = gatedFactory(() => 'too old');
    const loading = b.cache.getOrSet(`${key}:loading`, '60s', slow);
    await slow.entered;
    await a.cache.del(`${key}:loading`);
    for (const notice of [...captured.reverse(), ...captured]) await raw.publish('app:v1@notice', notice);
    slow.open();
    await loading;
    await sleep(50);
    expect(await readB()).toBe('newest');
    expect(await b.cache.get(`${key}:loading`)).toBeUndefined();
    source = 'after';
    await a.cache.del(key);
    await eventually(async () => (await readB()) === 'after', { withinMs: BOUND_MS });
  });

  it('never takes a value from a message', async () => {
    const forged = `000${String(`app:v1:${key}`.length).padStart(3, '0')}app:v1:${key}`;
    await raw.publish('app:v1@wake', `${forged}~1V0forged`);
    expect(await readB()).toBe('old');
  });
});
