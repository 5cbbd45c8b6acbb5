import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheModuleOptions, CacheService } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from './cache-app.ts';
import { eventually } from './eventually.ts';
import { startStandalone, type TestServers } from './servers.ts';

const OPTIONS = { ttl: '60s', tags: ['race'] } as const;

type Invalidate = (cache: CacheService, key: string, version: number, tag: string) => Promise<unknown>;

const WAYS: readonly (readonly [name: string, invalidate: Invalidate])[] = [
  ['del', (cache, key) => cache.del(key)],
  ['delByTag', (cache, _key, _version, tag) => cache.delByTag(tag)],
  ['expireByTag', (cache, _key, _version, tag) => cache.expireByTag(tag)],
  ['set', (cache, key, version) => cache.set(key, version, { ttl: '60s' })],
  ['delPattern', (cache, key) => cache.delPattern(`${key}*`)],
];

/** Readers load with a delay while a writer changes the source and invalidates: afterwards nothing old may be left. */
async function staleAfterRace(caches: readonly CacheService[], key: string, invalidate: Invalidate): Promise<boolean> {
  let source = 0;
  const tag = `tag of ${key}`;
  const load = async (): Promise<number> => {
    const value = source;
    await sleep(Math.random() * 8);
    return value;
  };
  const pick = (index: number): CacheService => caches[index % caches.length]!;
  const readers = Array.from({ length: 8 }, async (_, reader) => {
    for (let read = 0; read < 4; read++) {
      await pick(reader + read).getOrSet(key, { ...OPTIONS, tags: [tag] }, load);
      await sleep(Math.random() * 6);
    }
  });
  const writer = (async () => {
    for (let write = 0; write < 3; write++) {
      await sleep(Math.random() * 8);
      source++;
      await invalidate(pick(write), key, source, tag);
    }
  })();
  await Promise.all([...readers, writer]);
  const isStale = async (cache: CacheService): Promise<boolean> => {
    const value = await cache.get<number>(key);
    return value !== undefined && value !== source;
  };
  // The process that invalidated last answers right at once, the others hear of it within two seconds.
  if (await isStale(pick(2))) return true;
  const isOver = eventually(async () => !(await Promise.all(caches.map(isStale))).some(Boolean), { withinMs: 2_000 });
  return isOver.then(
    () => false,
    () => true,
  );
}

async function countStale(
  caches: readonly CacheService[],
  rounds: readonly string[],
  invalidate: Invalidate,
): Promise<number> {
  let stale = 0;
  // Some at a time: enough to interleave, few enough for the timers to mean something.
  for (let at = 0; at < rounds.length; at += 20) {
    const some = rounds.slice(at, at + 20);
    const outcomes = await Promise.all(some.map((key) => staleAfterRace(caches, key, invalidate)));
    stale += outcomes.filter(Boolean).length;
  }
  return stale;
}

/** A plain GET and SET leaves something old behind in one of three rounds. */
export function describeRaces(rounds: number): void {
  describe.each(['memory', 'server'])('races between loads and invalidations: %s', (mode) => {
    let server: TestServers | undefined;
    let apps: CacheApp[];

    beforeAll(async () => {
      server = mode === 'server' ? await startStandalone() : undefined;
      const options: CacheModuleOptions = {
        redis: server === undefined ? false : { url: server.url, commandTimeout: '2s' },
      };
      apps = await Promise.all(Array.from({ length: server === undefined ? 1 : 3 }, () => openCacheApp(options)));
    });
    afterAll(async () => {
      await Promise.all(apps.map((app) => app.close()));
      await server?.stop();
    });

    it.each(WAYS)(
      `leave nothing old behind in ${rounds} rounds of %s`,
      async (name, invalidate) => {
        const keys = Array.from({ length: rounds }, (_, round) => `race:${name}:${round}`);
        const caches = apps.map(({ cache }) => cache);
        expect(await countStale(caches, keys, invalidate)).toBe(0);
      },
      20_000 + rounds * 200,
    );
  });
}
