import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { CircuitBreakerService, type RedisServerOptions } from '../../src/index.ts';
import { slotOf } from '../../src/redis/key-slot.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { becomes, expectFailover, loadOf, modeOf, NAMES, namesOn } from '../support/failover.ts';
import { HOST } from '../support/free-ports.ts';
import { Load, longest, median } from '../support/load.ts';
import { FaultProxy } from '../support/proxy.ts';
import { ask, startCluster, type TestServers } from '../support/servers.ts';

/** Long enough for the shards that are well, on a machine that is slow today. */
const DEADLINE_MS = 500;
const HEALTHY_WITHIN_MS = 8_000;
const PASSWORD = 'hunter2-before';
const [lost, kept] = [namesOn(2), [...namesOn(0), ...namesOn(1)]];

let servers: TestServers;
let apps: CacheApp[] = [];
let loads: Load[] = [];

async function open(redis: RedisServerOptions = {}): Promise<CacheApp> {
  const nodes = servers.ports.map((port) => ({ host: HOST, port }));
  const app = await openCacheApp({ redis: { cluster: { nodes }, commandTimeout: `${DEADLINE_MS}ms`, ...redis } });
  apps.push(app);
  return app;
}

function watched(load: Load): Load {
  loads.push(load);
  return load;
}

const failed = (load: Load) => load.samples.filter(({ error }) => error !== undefined);

afterEach(async () => {
  await Promise.all(loads.map((load) => load.stop()));
  await Promise.all(apps.map((app) => app.close()));
  [apps, loads] = [[], []];
});
afterAll(() => servers.stop());

describe('a cluster of which one shard is lost', () => {
  let proxy: FaultProxy;
  const lines: string[] = [];

  beforeAll(async () => {
    for (const level of ['log', 'warn', 'error'] as const) {
      jest.spyOn(Logger.prototype, level).mockImplementation((...said: unknown[]) => void lines.push(String(said[0])));
    }
    servers = await startCluster([
      // Nobody takes over, and the others go on.
      ...['--cluster-require-full-coverage', 'no', '--cluster-replica-no-failover', 'yes'],
      ...['--user', 'app', 'on', `>${PASSWORD}`, '~*', '&*', '+@all'],
      ...['--key-load-delay', '300', '--loading-process-events-interval-bytes', '1024'],
    ]);
    proxy = await FaultProxy.start(servers.ports[2]!);
  }, 30_000);
  afterAll(async () => {
    jest.restoreAllMocks();
    await proxy.close();
    await servers.stop();
  });
  beforeEach(async () => {
    lines.length = 0;
    // The way to the third primary leads through the proxy, until that is started again.
    await ask(servers.ports[2]!, 'CONFIG', 'SET', 'cluster-announce-port', String(proxy.port));
    const knows = async (port: number) => (await ask(port, 'CLUSTER', 'NODES')).includes(`${HOST}:${proxy.port}@`);
    await eventually(async () => (await Promise.all(servers.ports.map(knows))).every(Boolean));
  });

  const circuitsOf = ({ module }: CacheApp) =>
    Object.entries(module.get(CircuitBreakerService).getStats()).map(([name, { state }]) => [name, state] as const);
  /** Of transitions: that it has connected at the start is none. */
  const transitions = () => lines.flatMap((line) => /cache: (\w+) since (?!.*\(connected\))/.exec(line)?.[1] ?? []);

  it.each([
    ['killed', () => servers.kill(2), () => servers.restart(2)],
    ['frozen', async () => servers.pause(2), async () => servers.resume(2)],
  ])('goes on with the other two when it is %s (F28)', async (_, fault, heal) => {
    const app = await open();
    const { cache } = app;
    await cache.setMany(NAMES.map((name) => [name, 'before']));
    const healthy = watched(loadOf(app, kept));
    const dead = watched(loadOf(app, lost));
    await sleep(300);
    await fault();
    await becomes(app, 'degraded', HEALTHY_WITHIN_MS);
    const openedAt = performance.now();
    await sleep(1_000);

    const states = circuitsOf(app);
    expect(states.map(([name]) => name)).toEqual([1, 2, 3].map((shard) => `nestjs-keep:server:${shard}`));
    expect(states.slice(0, 2).map(([, state]) => state)).toEqual(['CLOSED', 'CLOSED']);
    const stats = cache.getLocalStats();
    expect(stats.degradedReason).toContain('1 of 3 shards away: keys in slots 10923–16383 are answered from memory');
    expect(cache.isRedisAvailable()).toBe(true);

    await Promise.all([healthy.stop(), dead.stop()]);
    for (const load of [healthy, dead]) expect(failed(load)).toEqual([]);
    expect(longest(healthy.samples)).toBeLessThan(DEADLINE_MS + healthy.lagMs);
    expect(median(healthy.samples)).toBeLessThan(50 + healthy.lagMs);
    expect(longest(dead.samples)).toBeLessThan(DEADLINE_MS + 100 + dead.lagMs);
    expect(median(dead.since(openedAt))).toBeLessThan(10);

    // What spans shards is degraded in part.
    await cache.setMany(
      NAMES.map((name) => [name, 'during']),
      '60s',
    );
    expect(await cache.getMany(NAMES)).toEqual(NAMES.map(() => 'during'));
    await cache.del(...NAMES.slice(0, 20));
    expect(await cache.getMany(NAMES.slice(0, 20))).toEqual(Array(20).fill(undefined));
    const loadedMany = await cache.getOrSetMany(
      NAMES,
      60,
      async (missing) => new Map(missing.map((name) => [name, 'many'])),
    );
    expect(NAMES.map((name) => loadedMany.get(name))).toEqual(NAMES.map((_each, i) => (i < 20 ? 'many' : 'during')));
    const { journal } = cache.getLocalStats();
    expect(journal).toBeGreaterThanOrEqual(lost.length);
    expect(journal).toBeLessThanOrEqual(lost.length + 1);
    await cache.setMany(
      NAMES.map((name) => [name, 'during']),
      '60s',
    );
    await cache.getMany(NAMES);
    expect(await cache.delPattern('key:*')).toBe(NAMES.length);
    await cache.reset();
    expect(await cache.getMany(NAMES)).toEqual(NAMES.map(() => undefined));
    // Two of three shards still hold what is stored there.
    const load = (value: string) =>
      Promise.all(kept.map((name) => cache.getOrSet(name, { ttl: '60s', tier: 'l2' }, () => value)));
    expect(await load('after')).toEqual(kept.map(() => 'after'));
    expect(await load('not called')).toEqual(kept.map(() => 'after'));

    await heal();
    await becomes(app, 'server', HEALTHY_WITHIN_MS);
    await eventually(() => cache.getLocalStats().journal === 0);
    // Nothing from before, or made alone, is there again; the shard is used.
    for (const value of await cache.getMany([...lost])) expect(value).toBeUndefined();
    await cache.set(lost[0]!, 'stored');
    expect(await (await open()).cache.get(lost[0]!)).toBe('stored');
    expect(transitions()).toEqual(['degraded', 'recovering', 'healthy']);
  });

  const rotate = (password: string) => ask(servers.ports[2]!, 'ACL', 'SETUSER', 'app', 'resetpass', `>${password}`);
  const REFUSALS: readonly (readonly [code: string, begin: () => unknown, end: () => unknown])[] = [
    [
      'READONLY (F11)',
      () => (proxy.refusal = "READONLY You can't write against a read only replica."),
      () => (proxy.refusal = undefined),
    ],
    [
      'WRONGPASS (F12)',
      async () => {
        await rotate('hunter2-after');
        await ask(servers.ports[2]!, 'CLIENT', 'KILL', 'USER', 'app');
      },
      () => rotate(PASSWORD),
    ],
    [
      'LOADING (F09)',
      async () => {
        const script = `for i = 1, 4000 do redis.call('SET', 'other:' .. i .. KEYS[1], string.rep('x', 100)) end`;
        await ask(servers.ports[2]!, 'EVAL', script, '1', `{app:v1:${lost[0]!}}`);
        await ask(servers.ports[2]!, 'SAVE');
        await servers.kill(2);
      },
      async () => {
        const restarted = servers.restart(2);
        await eventually(async () => expect(await ask(servers.ports[2]!, 'DBSIZE')).toContain('LOADING'));
        await restarted;
      },
    ],
  ];

  it.each(REFUSALS)(
    'goes on with the other two while its primary answers %s, and heals by itself',
    async (code, ...act) => {
      const [begin, end] = act;
      const app = await open({ username: 'app', password: PASSWORD });
      const { cache } = app;
      await cache.setMany(NAMES.map((name) => [name, 'before']));
      const [healthy, hurt] = [watched(loadOf(app, kept)), watched(loadOf(app, lost))];
      await sleep(200);
      await begin();
      await becomes(app, 'degraded', HEALTHY_WITHIN_MS);
      await cache.del(lost[0]!);
      await sleep(800);
      const { degradedReason } = cache.getLocalStats();
      expect(degradedReason).toContain('1 of 3 shards away: keys in slots 10923–16383 are answered from memory');
      expect(
        circuitsOf(app)
          .slice(0, 2)
          .map(([, state]) => state),
      ).toEqual(['CLOSED', 'CLOSED']);
      await end();
      await becomes(app, 'server', HEALTHY_WITHIN_MS);
      await eventually(() => cache.getLocalStats().journal === 0);
      await Promise.all([healthy.stop(), hurt.stop()]);
      for (const load of [healthy, hurt]) expect(failed(load)).toEqual([]);
      expect(longest(healthy.samples)).toBeLessThan(DEADLINE_MS + healthy.lagMs);
      expect(longest(hurt.samples)).toBeLessThan(DEADLINE_MS + 100 + hurt.lagMs);
      expect(['made', undefined]).toContain(await cache.get(lost[0]!));
      await cache.set(lost[0]!, 'stored');
      expect(await ask(servers.ports[2]!, 'EXISTS', `app:v1:${lost[0]!}`)).toBe(':1\r\n');
      expect(transitions()).toEqual(['degraded', 'recovering', 'healthy']);
      const alarms = lines.filter((line) => line.includes('does not accept our user or password'));
      expect(alarms).toHaveLength(code.startsWith('WRONGPASS') ? 1 : 0);
      expect(lines.join('\n')).not.toMatch(/hunter2/);
    },
  );
});

describe('a cluster whose replicas take over', () => {
  beforeAll(async () => {
    servers = await startCluster();
  }, 30_000);

  it('does not notice that a slot moves to another primary', async () => {
    const app = await open();
    const slot = String(slotOf('app:v1:moving'));
    const [from, to] = Number(slot) > 10_922 ? [2, 0] : [Math.floor(Number(slot) / 5_461), 2];
    const [fromPort, toPort] = [servers.ports[from]!, servers.ports[to]!];
    const idOf = async (port: number) => /\r\n(\w+)/.exec(await ask(port, 'CLUSTER', 'MYID'))![1]!;
    const [fromId, toId] = await Promise.all([idOf(fromPort), idOf(toPort)]);
    const load = watched(new Load(() => app.cache.incr('moving')));
    const reads = watched(loadOf(app, NAMES));
    await sleep(200);

    expect(await ask(toPort, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)).toBe('+OK\r\n');
    expect(await ask(fromPort, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)).toBe('+OK\r\n');
    await sleep(200);
    // The key is on its way first: who asks is sent there for this once (ASK), then for good (MOVED).
    expect(await ask(fromPort, 'MIGRATE', HOST, String(toPort), 'app:v1:moving', '0', '1000')).toBe('+OK\r\n');
    await sleep(200);
    for (const port of [toPort, fromPort]) {
      expect(await ask(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId)).toBe('+OK\r\n');
    }
    await sleep(300);
    await Promise.all([load.stop(), reads.stop()]);
    for (const each of [load, reads]) expect(failed(each)).toEqual([]);
    expect(await app.cache.incr('moving')).toBe(load.samples.length + 1);
    expect(await ask(toPort, 'EXISTS', 'app:v1:moving')).toBe(':1\r\n');
    expect(modeOf(app)).toBe('server');
  });

  // Each with a shard of its own: there is one replica of it.
  it.each([
    ['by command (F31)', 2, (_: number, replica: number) => ask(replica, 'CLUSTER', 'FAILOVER'), 500, undefined],
    ['because the primary was killed (F32)', 1, (primary: number) => servers.kill(primary), 300, undefined],
    [
      'because the primary was frozen (F33)',
      0,
      (primary: number) => servers.pause(primary),
      600,
      // It goes on while it still takes itself for the primary.
      (primary: number) => servers.resume(primary),
    ],
  ])('is followed %s; nothing invalidated comes back', async (_, shard, fault, boundMs, after) => {
    const app = await open({ commandTimeout: '200ms' });
    await expectFailover({ servers, app, shard, fault, after, boundMs, healthyWithinMs: HEALTHY_WITHIN_MS });
  });
});
