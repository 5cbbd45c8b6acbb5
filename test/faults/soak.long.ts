import { setTimeout as sleep } from 'node:timers/promises';
import { openCacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { usedMegabytes } from '../support/heap.ts';
import { Load } from '../support/load.ts';
import { FaultProxy, type ProxyMode } from '../support/proxy.ts';
import { SeededRandom, seedOfRun } from '../support/random.ts';
import { startStandalone } from '../support/servers.ts';

const MINUTES = Number(process.env['KEEP_SOAK_MINUTES'] ?? 10);
const MODES: readonly ProxyMode[] = ['reject', 'blackhole', 'drop-replies', 'drop-requests', 'cut-after-request'];
const MAX_MB_PER_MINUTE = 1;
const seed = seedOfRun();

interface Figures {
  readonly atMinutes: number;
  readonly megabytes: number;
}

/** What is in use, not what the process has: the allocator returns pages when it likes. */
const figuresAt = (startedAt: number): Figures => ({
  atMinutes: (performance.now() - startedAt) / 60_000,
  megabytes: usedMegabytes(),
});

/** Megabytes per minute, by least squares: single figures go up and down with what is under way. */
function slope(figures: readonly Figures[]): number {
  const mean = (of: (each: Figures) => number) => figures.reduce((sum, each) => sum + of(each), 0) / figures.length;
  const [x, y] = [mean(({ atMinutes }) => atMinutes), mean(({ megabytes }) => megabytes)];
  const above = mean(({ atMinutes, megabytes }) => (atMinutes - x) * (megabytes - y));
  return above / mean(({ atMinutes }) => (atMinutes - x) ** 2);
}

it(
  `F57: ${MINUTES} minutes of faults leave neither memory nor listeners behind (KEEP_SEED=${seed})`,
  async () => {
    const random = new SeededRandom(seed);
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note).on('warning', note);
    const server = await startStandalone();
    const proxy = await FaultProxy.start(server.port);
    const app = await openCacheApp({
      redis: { url: `redis://127.0.0.1:${proxy.port}` },
      cache: { coherence: 'tracking', l1: { maxEntries: 1_000, maxBytes: '1mb' } },
    });
    await app.cache.subscribe('news', () => undefined, { onResync: () => undefined });
    const key = () => `k${Math.floor(random.next() * 5_000)}`;
    const load = new Load(async () => {
      await app.cache.getOrSet(key(), { ttl: '2s', tags: [`t${Math.floor(random.next() * 50)}`] }, () =>
        'x'.repeat(200),
      );
      if (random.next() < 0.1) await app.cache.del(key());
      if (random.next() < 0.1) await app.cache.publish('news', 1);
    });
    const listenersOf = () => {
      const client = app.cache.getClient()!;
      const names = [...client.eventNames(), ...process.eventNames()];
      return names.reduce((sum, name) => sum + client.listenerCount(name) + process.listenerCount(name as 'exit'), 0);
    };
    const isWell = () => app.cache.getLocalStats().mode === 'server' && app.cache.getLocalStats().journal === 0;
    const startedAt = performance.now();
    // Until code is compiled, tables have their size and everything was broken once.
    const warmedUpAt = startedAt + (MINUTES * 60_000) / 3;
    const figures: Figures[] = [];
    const listeners = new Set<number>();
    try {
      while (performance.now() - startedAt < MINUTES * 60_000) {
        proxy.mode = random.pick(MODES);
        if (random.next() < 0.5) proxy.cut();
        await sleep(random.between(200, 2_000));
        proxy.mode = 'pass';
        proxy.cut();
        await eventually(isWell, { withinMs: 10_000 });
        await sleep(500);
        // What the load keeps of itself is not what is asked for.
        expect(load.samples.filter(({ error }) => error !== undefined)).toEqual([]);
        load.samples.length = 0;
        if (performance.now() < warmedUpAt) continue;
        figures.push(figuresAt(startedAt));
        listeners.add(listenersOf());
      }
      const inMegabytes = figures.map(({ megabytes }) => Math.round(megabytes * 10) / 10);
      if (slope(figures) >= MAX_MB_PER_MINUTE) throw new Error(`memory grows: ${inMegabytes.join(', ')} MB`);
      expect([...listeners]).toHaveLength(1);
      expect(unhandled).toEqual([]);
    } finally {
      await load.stop();
      await app.close();
      await proxy.close();
      await server.stop();
      process.off('unhandledRejection', note).off('warning', note);
    }
  },
  (MINUTES + 2) * 60_000,
);
