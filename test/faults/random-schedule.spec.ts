import { setTimeout as sleep } from 'node:timers/promises';
import { isStoreFailure } from '../../src/common/errors.ts';
import { isLockUnavailableError } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { Load, longest } from '../support/load.ts';
import { FaultProxy, type ProxyMode } from '../support/proxy.ts';
import { SeededRandom, seedOfRun } from '../support/random.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const DEADLINE_MS = 200;
const HEALTHY_WITHIN_MS = 5_000;
const MODES: readonly ProxyMode[] = [
  'pass',
  'reject',
  'blackhole',
  'drop-replies',
  'drop-requests',
  'cut-after-request',
];

const seed = seedOfRun();
let server: TestServers;

beforeAll(async () => {
  server = await startStandalone();
});
afterAll(() => server.stop());

/** What an application does, each of it one promise with a deadline. */
const actsOf = ({ cache }: CacheApp, random: SeededRandom): readonly (() => Promise<unknown>)[] => {
  const key = () => `k${Math.floor(random.next() * 10)}`;
  return [
    () => cache.getOrSet(key(), { ttl: '100ms', tags: ['t'] }, () => 'value'),
    () => cache.get(key()),
    () => cache.set(key(), 'value'),
    () => cache.del(key()),
    () => cache.delByTag('t'),
    () => cache.publish('news', 1),
    () => cache.incr('count'),
    () => cache.acquireLock(`lock:${random.next()}`, 1_000),
    () => cache.checkRateLimit('limit', 1_000_000, 60),
  ];
};

async function hurt(proxy: FaultProxy, random: SeededRandom): Promise<void> {
  for (let step = 0; step < 8; step++) {
    proxy.mode = random.pick(MODES);
    proxy.latencyMs = random.next() < 0.2 ? 400 : 0;
    if (random.next() < 0.3) proxy.cut();
    await sleep(random.between(50, 600));
  }
  proxy.mode = 'pass';
  proxy.latencyMs = 0;
  proxy.cut();
}

it(`I28, I29, I30: whatever happens, calls end in time and everything ends well (KEEP_SEED=${seed})`, async () => {
  const worlds = await Promise.all(
    [0, 1, 2].map(async (index) => {
      const random = new SeededRandom(seed + index);
      const proxy = await FaultProxy.start(server.port);
      const app = await openCacheApp({
        redis: { url: `redis://127.0.0.1:${proxy.port}` },
        keys: { prefix: `w${index}` },
      });
      return { random, proxy, app };
    }),
  );
  try {
    const played = worlds.map(async ({ random, proxy, app }) => {
      const acts = actsOf(app, random);
      const load = new Load(() => random.pick(acts)());
      try {
        await hurt(proxy, random);
        // A call says more than the state: the last cut may not have been noticed yet.
        await eventually(
          async () => {
            expect(await app.cache.incr('count')).toBeGreaterThan(0);
            expect(app.cache.getLocalStats()).toMatchObject({ mode: 'server', journal: 0 });
          },
          { withinMs: HEALTHY_WITHIN_MS },
        );
      } finally {
        await load.stop();
      }
      const errors = load.samples.flatMap(({ error }) => (error === undefined ? [] : [error]));
      expect(errors.filter((error) => !isStoreFailure(error) && !isLockUnavailableError(error))).toEqual([]);
      expect(longest(load.samples)).toBeLessThan(DEADLINE_MS + 100 + load.lagMs);
      expect(app.cache.getLocalStats()).toMatchObject({ mode: 'server', journal: 0 });
      expect(await app.cache.incr('count')).toBeGreaterThan(0);
    });
    await Promise.all(played);
  } finally {
    await Promise.all(worlds.map(({ app }) => app.close()));
    await Promise.all(worlds.map(({ proxy }) => proxy.close()));
  }
});
