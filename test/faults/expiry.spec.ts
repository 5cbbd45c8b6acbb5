import { setTimeout as sleep } from 'node:timers/promises';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const KEYS = 2_000;
const BUCKET_MS = 100;
/** They end between one and two seconds after they were made. */
const OPTIONS = { ttl: '2s', jitter: 0.5 } as const;
const SPREAD_MS = 1_000;

/** How many of these times lie in the fullest bucket. */
function fullest(times: readonly number[]): number {
  const buckets = new Map<number, number>();
  for (const time of times) {
    const bucket = Math.floor(time / BUCKET_MS);
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  }
  return Math.max(...buckets.values());
}

describe('keys that were made together', () => {
  let server: TestServers;
  let app: CacheApp;

  beforeAll(async () => {
    server = await startStandalone();
    app = await openCacheApp({ redis: { url: server.url, commandTimeout: '5s' } });
  });
  afterAll(async () => {
    await app.close();
    await server.stop();
  });

  it('are computed again at different times (F25)', async () => {
    const keys = Array.from({ length: KEYS }, (_, i) => `k${i}`);
    await app.cache.getOrSetMany(keys, OPTIONS, async (missing) => new Map(missing.map((key) => [key, 'first'])));
    const againAt = new Map<string, number>();
    let [lagMs, lastAt] = [0, performance.now()];
    await eventually(
      async () => {
        const now = performance.now();
        lagMs = Math.max(lagMs, now - lastAt);
        lastAt = now;
        for (const key of keys) {
          if (againAt.has(key)) continue;
          void app.cache.getOrSet(key, OPTIONS, () => (againAt.set(key, performance.now()), 'again'));
        }
        await sleep(0);
        return againAt.size === KEYS;
      },
      { withinMs: 15_000, everyMs: 10 },
    );
    const mean = KEYS / (SPREAD_MS / BUCKET_MS);
    // What a machine that pauses has missed begins all at once.

    expect(fullest([...againAt.values()])).toBeLessThan(3 * mean * (1 + lagMs / BUCKET_MS));
  });
});
