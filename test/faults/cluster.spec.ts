import { setTimeout as sleep } from 'node:timers/promises';
import { CircuitBreakerService, type CacheModuleOptions } from '../../src/index.ts';
import { slotOf } from '../../src/redis/key-slot.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { Load, longest, median } from '../support/load.ts';
import { ask, startCluster, type TestServers } from '../support/servers.ts';

const DEADLINE_MS = 200;
const HEALTHY_WITHIN_MS = 8_000;
/** Slots of the third primary, as `startCluster` shares them out. */
const isOnLast = (name: string): boolean => slotOf(`app:v1:${name}`) > 10_922;
const names = Array.from({ length: 60 }, (_, index) => `key:${index}`);
const [lost, kept] = [names.filter(isOnLast), names.filter((name) => !isOnLast(name))];

describe('a cluster', () => {
  let servers: TestServers;
  let apps: CacheApp[] = [];
  let loads: Load[] = [];

  const open = async (options: CacheModuleOptions = {}): Promise<CacheApp> => {
    const nodes = servers.ports.map((port) => ({ host: HOST, port }));
    const app = await openCacheApp({ ...options, redis: { cluster: { nodes }, commandTimeout: `${DEADLINE_MS}ms` } });
    apps.push(app);
    return app;
  };
  const modeOf = ({ cache }: CacheApp) => cache.getLocalStats().mode;
  const becomes = (app: CacheApp, mode: string) =>
    eventually(() => modeOf(app) === mode, { withinMs: HEALTHY_WITHIN_MS });
  const loadOf = ({ cache }: CacheApp, from: readonly string[]) => {
    let turn = 0;
    // Read from the server each time: what memory holds does not notice anything anyway.
    const read = () => cache.getOrSet(from[turn++ % from.length]!, { ttl: '60s', tier: 'l2' }, () => 'made');
    const load = new Load(read);
    loads.push(load);
    return load;
  };

  afterEach(async () => {
    await Promise.all(loads.map((load) => load.stop()));
    await Promise.all(apps.map((app) => app.close()));
    [apps, loads] = [[], []];
    await servers.stop();
  });

  describe('of which one shard is lost', () => {
    let app: CacheApp;

    beforeEach(async () => {
      // Nobody takes over, and the others go on.
      servers = await startCluster(['--cluster-require-full-coverage', 'no', '--cluster-replica-no-failover', 'yes']);
      app = await open();
    });

    it.each([
      ['killed', () => servers.kill(2), () => servers.restart(2)],
      ['frozen', async () => servers.pause(2), async () => servers.resume(2)],
    ])('goes on with the other two when it is %s (F28)', async (_, fault, heal) => {
      const { cache, module } = app;
      await cache.setMany(names.map((name) => [name, 'before']));
      await cache.set('tagged', 'before', { ttl: '60s', tags: ['t'] });
      const healthy = loadOf(app, kept);
      const dead = loadOf(app, lost);
      await sleep(300);
      await fault();
      await becomes(app, 'degraded');
      const openedAt = performance.now();
      await sleep(1_500);

      const states = Object.entries(module.get(CircuitBreakerService).getStats()).map(([name, { state }]) => [
        name,
        state,
      ]);
      expect(states.map(([name]) => name)).toEqual([1, 2, 3].map((shard) => `nestjs-keep:server:${shard}`));
      expect(states.slice(0, 2).map(([, state]) => state)).toEqual(['CLOSED', 'CLOSED']);
      const stats = cache.getLocalStats();
      expect(stats.degradedReason).toContain('1 of 3 shards away: keys in slots 10923–16383 are answered from memory');
      expect(cache.isRedisAvailable()).toBe(true);

      await Promise.all([healthy.stop(), dead.stop()]);
      for (const load of [healthy, dead]) expect(load.samples.filter(({ error }) => error !== undefined)).toEqual([]);
      expect(longest(healthy.samples)).toBeLessThan(DEADLINE_MS + healthy.lagMs);
      expect(median(healthy.samples)).toBeLessThan(50 + healthy.lagMs);
      expect(longest(dead.samples)).toBeLessThan(DEADLINE_MS + 100 + dead.lagMs);
      expect(median(dead.since(openedAt))).toBeLessThan(10);

      // What spans shards is degraded in part.
      await cache.setMany(
        names.map((name) => [name, 'during']),
        '60s',
      );
      expect(await cache.getMany(names)).toEqual(names.map(() => 'during'));
      await cache.del(...names.slice(0, 20));
      expect(await cache.getMany(names.slice(0, 20))).toEqual(Array(20).fill(undefined));
      const loadedMany = await cache.getOrSetMany(
        names,
        60,
        async (missing) => new Map(missing.map((name) => [name, 'many'])),
      );
      expect(names.map((name) => loadedMany.get(name))).toEqual(names.map((_each, i) => (i < 20 ? 'many' : 'during')));
      const { journal } = cache.getLocalStats();
      expect(journal).toBeGreaterThanOrEqual(lost.length);
      expect(journal).toBeLessThanOrEqual(lost.length + 1);
      await cache.reset();
      expect(await cache.getMany(names)).toEqual(names.map(() => undefined));
      // Two of three shards still hold what is stored there.
      const load = (value: string) =>
        Promise.all(kept.map((name) => cache.getOrSet(name, { ttl: '60s', tier: 'l2' }, () => value)));
      expect(await load('after')).toEqual(kept.map(() => 'after'));
      expect(await load('not called')).toEqual(kept.map(() => 'after'));

      await heal();
      await becomes(app, 'server');
      await eventually(() => cache.getLocalStats().journal === 0);
      // Nothing from before, or made alone, is there again; the shard is used.
      for (const value of await cache.getMany(lost)) expect(value).toBeUndefined();
      await cache.set(lost[0]!, 'stored');
      expect(await (await open()).cache.get(lost[0]!)).toBe('stored');
    });
  });

  it.each([
    ['by command (F31)', () => ask(servers.ports[5]!, 'CLUSTER', 'FAILOVER'), 500, undefined],
    ['because the primary was killed (F32)', () => servers.kill(2), DEADLINE_MS + 100, undefined],
    // It goes on while it still takes itself for the primary.
    ['because the primary was frozen (F33)', async () => servers.pause(2), 600, async () => servers.resume(2)],
  ])('follows a replica that takes over %s; nothing invalidated comes back', async (_, fault, boundMs, after) => {
    servers = await startCluster();
    const app = await open();
    const { cache } = app;
    await cache.setMany(names.map((name) => [name, 'old']));
    const load = loadOf(app, names);
    await sleep(200);
    await fault();
    await cache.del(...lost);
    await eventually(async () => (await ask(servers.ports[5]!, 'ROLE')).includes('master'), { withinMs: 10_000 });
    await becomes(app, 'server');
    await after?.();
    await sleep(after === undefined ? 0 : 500);
    await becomes(app, 'server');
    await eventually(() => cache.getLocalStats().journal === 0);
    await load.stop();
    expect(load.samples.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(longest(load.samples)).toBeLessThan(boundMs + load.lagMs);
    for (const value of await cache.getMany(lost)) expect(['made', undefined]).toContain(value);
    await eventually(async () => {
      await cache.set(lost[0]!, 'stored');
      expect(await ask(servers.ports[5]!, 'EXISTS', `app:v1:${lost[0]!}`)).toBe(':1\r\n');
    });
  });

  it('does not notice that a slot moves to another primary', async () => {
    servers = await startCluster();
    const app = await open();
    const slot = String(slotOf('app:v1:moving'));
    const [from, to] = Number(slot) > 10_922 ? [2, 0] : [Math.floor(Number(slot) / 5_461), 2];
    const [fromPort, toPort] = [servers.ports[from]!, servers.ports[to]!];
    const idOf = async (port: number) => /\r\n(\w+)/.exec(await ask(port, 'CLUSTER', 'MYID'))![1]!;
    const [fromId, toId] = await Promise.all([idOf(fromPort), idOf(toPort)]);
    const load = new Load(() => app.cache.incr('moving'));
    loads.push(load);
    const reads = loadOf(app, names);
    await sleep(300);

    expect(await ask(toPort, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)).toBe('+OK\r\n');
    expect(await ask(fromPort, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)).toBe('+OK\r\n');
    await sleep(200);
    // The key is on its way first: who asks is sent there for this once (ASK), then for good (MOVED).
    expect(await ask(fromPort, 'MIGRATE', HOST, String(toPort), 'app:v1:moving', '0', '1000')).toBe('+OK\r\n');
    await sleep(300);
    for (const port of [toPort, fromPort]) {
      expect(await ask(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId)).toBe('+OK\r\n');
    }
    await sleep(500);
    await Promise.all([load.stop(), reads.stop()]);
    for (const each of [load, reads]) expect(each.samples.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(await app.cache.incr('moving')).toBe(load.samples.length + 1);
    expect(await ask(toPort, 'EXISTS', 'app:v1:moving')).toBe(':1\r\n');
    expect(modeOf(app)).toBe('server');
  });
});
