import { setTimeout as sleep } from 'node:timers/promises';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const WITHIN_MS = 6_000;

describe('subscribers that may have missed something', () => {
  let server: TestServers;
  let proxy: FaultProxy;
  let apps: CacheApp[] = [];

  const open = async (port: number): Promise<CacheApp> => {
    const app = await openCacheApp({ redis: { url: `redis://127.0.0.1:${port}` } });
    apps.push(app);
    return app;
  };
  /** What a subscriber hears, and how often it was told that it may have missed something. */
  const listen = async ({ cache }: CacheApp, channel = 'news') => {
    const heard: unknown[] = [];
    const told = { times: 0 };
    const end = await cache.subscribe(channel, (message) => void heard.push(message), {
      onResync: () => {
        told.times++;
      },
    });
    return { heard, told, end };
  };
  const isHealthy = (app: CacheApp) => eventually(() => app.cache.isRedisAvailable(), { withinMs: WITHIN_MS });
  const isDegraded = (app: CacheApp) => eventually(() => !app.cache.isRedisAvailable(), { withinMs: WITHIN_MS });
  const toldOnce = (listener: { told: { times: number } }) =>
    eventually(() => expect(listener.told.times).toBe(1), { withinMs: WITHIN_MS });

  beforeAll(async () => {
    server = await startStandalone();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    proxy = await FaultProxy.start(server.port);
  });
  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()));
    apps = [];
    await proxy.close();
  });

  it('are told once after the server was killed, and hear messages again', async () => {
    const app = await open(server.port);
    const [one, other] = [await listen(app), await listen(app, 'other')];
    expect(one.told.times).toBe(0);
    await server.kill();
    await isDegraded(app);
    await app.cache.publish('news', 'here only');
    await eventually(() => expect(one.heard).toEqual(['here only']));
    await server.restart();
    await toldOnce(one);
    await app.cache.publish('news', 'again');
    await eventually(() => expect(one.heard).toEqual(['here only', 'again']));
    await sleep(300);
    expect([one.told.times, other.told.times]).toEqual([1, 1]);
  });

  it('are told after their own connection was cut, also when they ended other subscriptions meanwhile', async () => {
    const [cut, publisher] = [await open(proxy.port), await open(server.port)];
    const [staying, leaving, elsewhere] = [await listen(cut), await listen(cut), await listen(publisher)];
    proxy.mode = 'reject';
    proxy.cut();
    await isDegraded(cut);
    await publisher.cache.publish('news', 'missed');
    await leaving.end();
    proxy.mode = 'pass';
    await toldOnce(staying);
    expect([staying.heard, leaving.told.times, elsewhere.told.times]).toEqual([[], 0, 0]);
  });

  it('are told when only the connection for messages was lost', async () => {
    proxy.onlySubscribers = true;
    const app = await open(proxy.port);
    const listener = await listen(app);
    proxy.cut();
    await toldOnce(listener);
    expect(app.cache.isRedisAvailable()).toBe(true);
  });

  it('are told when a publisher was cut off: what it published has reached its own subscribers only', async () => {
    const [publisher, app] = [await open(proxy.port), await open(server.port)];
    const [concerned, other] = [await listen(app), await listen(app, 'other')];
    proxy.mode = 'reject';
    proxy.cut();
    await isDegraded(publisher);
    await publisher.cache.publish('news', 'unheard');
    proxy.mode = 'pass';
    await isHealthy(publisher);
    await toldOnce(concerned);
    expect([concerned.heard, other.told.times]).toEqual([[], 0]);
  });

  it('are told after the server was frozen, although no connection was lost', async () => {
    const app = await open(server.port);
    const listener = await listen(app);
    server.pause();
    try {
      await eventually(
        async () => {
          await Promise.all(Array.from({ length: 5 }, () => app.cache.get(`k${Math.random()}`)));
          return !app.cache.isRedisAvailable();
        },
        { withinMs: WITHIN_MS },
      );
    } finally {
      server.resume();
    }
    await eventually(() => listener.told.times > 0, { withinMs: WITHIN_MS });
    expect(listener.told.times).toBeLessThanOrEqual(2);
  });

  it('are never told in memory mode, and one that fails disturbs nobody', async () => {
    const memory = await openCacheApp({ redis: false });
    apps.push(memory);
    const listener = await listen(memory);
    await memory.cache.publish('news', 1);
    await eventually(() => expect(listener.heard).toEqual([1]));
    expect(listener.told.times).toBe(0);
    const app = await open(server.port);
    await app.cache.subscribe('news', () => undefined, { onResync: () => Promise.reject(new Error('no')) });
    const other = await listen(app);
    await server.ask('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await toldOnce(other);
  });
});
