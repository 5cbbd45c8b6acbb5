import { openCacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { usedMegabytes } from '../support/heap.ts';
import { startStandalone } from '../support/servers.ts';

const KEYS = 500_000;
const LIMITS = { maxEntries: 100_000, maxBytes: '32mb' } as const;
const MB = 1024 ** 2;
/** What is remembered of an outage, and what a run of this length compiles. */
const JOURNAL_MB = 10;

describe('memory under a flood of keys', () => {
  it.each(['memory mode', 'without its server'])(
    'stays within its bounds: %s',
    async (mode) => {
      const server = await startStandalone();
      const redis = mode === 'memory mode' ? false : ({ url: server.url } as const);
      const app = await openCacheApp({ redis, cache: { l1: LIMITS } });
      const { cache } = app;
      if (redis !== false) {
        await server.kill();
        await eventually(async () => (await cache.getStats()).mode === 'degraded');
      }
      const before = usedMegabytes();
      for (let i = 0; i < KEYS; i += 100) {
        await Promise.all(Array.from({ length: 100 }, (_, j) => cache.set(`flood:${i + j}`, 'x'.repeat(100))));
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { tiers } = await cache.getStats();
      expect(tiers.l1.entries).toBeLessThanOrEqual(LIMITS.maxEntries);
      expect(tiers.l1.bytes).toBeLessThanOrEqual(32 * MB);
      expect(tiers.l1.bytes).toBeGreaterThan(16 * MB);
      // What is counted is what is used, and nothing else grows with the flood: neither journal nor listeners nor flights.
      expect(usedMegabytes() - before).toBeLessThan(1.2 * (tiers.l1.bytes / MB) + JOURNAL_MB);
      expect(await cache.delPattern('flood:*')).toBeGreaterThan(0);
      await app.close();
      await server.stop();
    },
    120_000,
  );
});
