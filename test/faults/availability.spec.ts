import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { CircuitBreakerService } from '../../src/circuit-breaker/circuit-breaker.service.ts';
import { CIRCUIT_BREAKER_DEFAULTS } from '../../src/circuit-breaker/circuit-breaker.options.ts';
import type { CircuitState } from '../../src/circuit-breaker/circuit.stats.ts';
import { isStoreFailure, isStoreUnavailableError, StoreUnavailableError } from '../../src/common/errors.ts';
import type { AvailabilityChange, RecoveryContext } from '../../src/redis/availability.types.ts';
import type { RedisConnection } from '../../src/redis/redis.connection.ts';
import { defineScript } from '../../src/redis/redis.script.ts';
import { Connections, standalone, type TestTarget } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { Load, longest, median } from '../support/load.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const DEADLINE_MS = 200;
const OPENED_WITHIN_MS = 1_500;
const HEALTHY_WITHIN_MS = 3_000;
const CIRCUIT = 'nestjs-keep:server';

const connections = new Connections();
const cleanUps: (() => unknown)[] = [];
let servers: TestServers;
let proxy: FaultProxy;

beforeEach(async () => {
  servers = await startStandalone();
  proxy = await FaultProxy.start(servers.port);
});
afterEach(async () => {
  // All at once: a connection that cannot be closed must not leave servers running.
  const ends = [connections.close, () => proxy.close(), () => servers.stop(), ...cleanUps.splice(0)];
  await Promise.all(ends.map((end) => end()));
});

/** A connection, what it logs and what it tells. */
async function open(
  target: TestTarget = proxy.port,
  more: {
    bootBudgetMs?: number;
    recoveryTimeoutMs?: number;
    halfOpenMaxCalls?: number;
    commandTimeoutMs?: number;
  } = {},
) {
  const lines: string[] = [];
  const write = (level: string) => (line: string) => lines.push(`${level} ${line}`);
  const circuits = new CircuitBreakerService();
  cleanUps.push(() => circuits.onApplicationShutdown());
  const moves: CircuitState[] = [];
  circuits.onStateChange(({ to }) => moves.push(to));
  const { bootBudgetMs = 2_000, commandTimeoutMs = DEADLINE_MS, ...options } = more;
  const connection = await connections.open(target, {
    commandTimeoutMs,
    bootBudgetMs,
    logger: { log: write('log'), warn: write('warn'), error: write('error') },
    breaker: { circuits, options: { ...CIRCUIT_BREAKER_DEFAULTS.server, ...options } },
  });
  const changes: (AvailabilityChange & { readonly at: number })[] = [];
  connection.onStateChange((change) => changes.push({ ...change, at: performance.now() }));
  const recoveries: Pick<RecoveryContext, 'runIdChanged'>[] = [];
  connection.onRecovering(async ({ runIdChanged }) => void recoveries.push({ runIdChanged }));
  return { connection, lines, circuits, moves, changes, recoveries };
}

type Opened = Awaited<ReturnType<typeof open>>;

function loadOn(connection: RedisConnection): Load {
  const load = new Load(() => connection.execute('get', (client) => client.get('k')));
  cleanUps.push(() => load.stop());
  return load;
}

const states = ({ changes }: Opened) => changes.map(({ to }) => to);
const linesWith = ({ lines }: Opened, word: string) => lines.filter((line) => line.includes(`cache: ${word} since`));
const healthyAgain = ({ connection }: Opened) =>
  eventually(() => connection.state === 'healthy', { withinMs: HEALTHY_WITHIN_MS });

/** What every outage has in common: under load, from `fault` until `heal` has let the server answer again. */
async function expectStandard(opened: Opened, fault: () => unknown, heal: () => unknown, lastsMs: number) {
  const { connection, changes, lines } = opened;
  lines.length = 0;
  const load = loadOn(connection);
  await sleep(300);
  expect(load.samples.filter(({ error }) => error !== undefined)).toEqual([]);
  const brokenAt = performance.now();
  await fault();
  await eventually(() => connection.state === 'degraded', { withinMs: OPENED_WITHIN_MS + load.lagMs });
  await sleep(lastsMs - (performance.now() - brokenAt));
  await heal();
  await healthyAgain(opened);
  await sleep(100);
  await load.stop();

  const degradedAt = changes[0]!.at;
  expect(degradedAt - brokenAt).toBeLessThan(OPENED_WITHIN_MS + load.lagMs);
  expect(longest(load.samples)).toBeLessThan(DEADLINE_MS + 100 + load.lagMs);
  expect(load.samples.every(({ error }) => error === undefined || isStoreFailure(error))).toBe(true);
  expect(load.samples.at(-1)?.error).toBeUndefined();
  const refused = load.since(degradedAt).filter(({ error }) => error !== undefined);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.every(({ error }) => isStoreUnavailableError(error))).toBe(true);
  expect(median(refused)).toBeLessThan(DEADLINE_MS / 10);
  expect([linesWith(opened, 'degraded').length, linesWith(opened, 'healthy').length]).toEqual([1, 1]);
  return load;
}

it('F01: the server is killed, and comes back without its data', async () => {
  const opened = await open();
  await expectStandard(
    opened,
    () => servers.kill(),
    () => servers.restart(),
    1_000,
  );
  expect(states(opened)).toEqual(['degraded', 'recovering', 'healthy']);
  expect(opened.recoveries).toEqual([{ runIdChanged: true }]);
});

it('F01: many calls that were under way at the loss do not delay the recovery', async () => {
  const opened = await open(proxy.port, { recoveryTimeoutMs: 60_000 });
  const { connection, moves } = opened;
  proxy.mode = 'drop-replies';
  const calls = Array.from({ length: 64 }, () => connection.execute('incr', (client) => client.incr('count')));
  await sleep(50);
  proxy.mode = 'pass';
  proxy.cut();
  expect((await Promise.allSettled(calls)).every(({ status }) => status === 'rejected')).toBe(true);
  expect(moves).toContain('OPEN');
  await healthyAgain(opened);
});

it('F02: the server is frozen, and goes on', async () => {
  const opened = await open();
  const load = await expectStandard(
    opened,
    () => servers.pause(),
    () => servers.resume(),
    2_500,
  );
  expect(load.underWay).toBe(0);
  expect(opened.moves).toContain('OPEN');
  expect(opened.recoveries).toEqual([{ runIdChanged: false }]);
});

it('F03: the server is behind a cable that was cut; new connections are tried', async () => {
  const opened = await open();
  const acceptedBefore = proxy.accepted;
  const heal = () => {
    expect(proxy.accepted).toBeGreaterThan(acceptedBefore);
    proxy.mode = 'pass';
    proxy.cut();
  };
  await expectStandard(opened, () => (proxy.mode = 'blackhole'), heal, 3_000);
});

it('F04: connections are refused; attempts back off, and two clients do not come in the same instant', async () => {
  const other = await FaultProxy.start(servers.port);
  cleanUps.push(() => other.close());
  const opened = [await open(), await open(other.port)] as const;
  const proxies = [proxy, other] as const;
  const attempts: [number[], number[]] = [[], []];
  const before = proxies.map(({ accepted }) => accepted) as [number, number];
  for (const each of proxies) {
    each.mode = 'reject';
    each.cut();
  }
  const end = performance.now() + 5_000;
  while (performance.now() < end) {
    proxies.forEach(({ accepted }, index) => {
      const known = attempts[index]!;
      while (known.length < accepted - before[index]!) known.push(performance.now());
    });
    await sleep(1);
  }
  for (const each of proxies) each.mode = 'pass';
  await Promise.all(opened.map(healthyAgain));
  for (const times of attempts) {
    expect(times.length).toBeGreaterThan(3);
    expect(times.length).toBeLessThanOrEqual(15);
  }
  const together = attempts[0].filter((time) => attempts[1].some((another) => Math.abs(time - another) < 5));
  expect(together.length).toBeLessThan(attempts[0].length / 2);
  for (const each of opened) expect(states(each)).toEqual(['degraded', 'recovering', 'healthy']);
});

it('F05: the server is slower than the deadline; the state does not flap', async () => {
  const opened = await open();
  await expectStandard(
    opened,
    () => (proxy.latencyMs = 400),
    () => (proxy.latencyMs = 0),
    4_000,
  );
  expect(opened.moves.filter((state) => state === 'HALF_OPEN').length).toBeGreaterThan(1);
  expect(opened.changes.length).toBeLessThanOrEqual(4);
  expect(proxy.accepted).toBe(1);
});

it('F06: the server is slow, but fast enough', async () => {
  // A tenth of the deadline is the server's, the rest is for a machine that is slow today.
  const opened = await open(proxy.port, { commandTimeoutMs: 2_000 });
  const load = loadOn(opened.connection);
  proxy.latencyMs = 100;
  await sleep(1_500);
  await load.stop();
  expect(load.samples.filter(({ error }) => error !== undefined)).toEqual([]);
  expect(opened.changes).toEqual([]);
  expect(opened.moves).toEqual([]);
});

it('F07: connections are killed again and again; the breaker stays closed', async () => {
  const opened = await open(servers.port);
  const load = loadOn(opened.connection);
  for (let times = 0; times < 8; times += 1) {
    await sleep(250);
    await servers.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }
  const recoveries = () => states(opened).filter((state) => state === 'healthy').length;
  await eventually(() => recoveries() === 8, { withinMs: HEALTHY_WITHIN_MS });
  await load.stop();
  expect(opened.moves).toEqual([]);
  expect(longest(load.samples)).toBeLessThan(100 + load.lagMs);
  const failed = load.samples.filter(({ error }) => error !== undefined);
  expect(failed.length).toBeLessThan(load.samples.length / 2);
});

it('F12: the password is changed; that is said once, without telling any password', async () => {
  const [before, after] = ['hunter2-before', 'hunter2-after'];
  await servers.ask('CONFIG', 'SET', 'requirepass', before);
  const admin = new Redis(servers.port, HOST, { password: before });
  cleanUps.push(() => admin.disconnect());
  const opened = await open(standalone(servers.port, { password: before }));
  const { connection, lines } = opened;
  expect(connection.state).toBe('healthy');
  lines.length = 0;
  await admin.config('SET', 'requirepass', after);
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await eventually(() => lines.some((line) => line.startsWith('error')));
  await sleep(1_500);
  expect(lines.filter((line) => line.startsWith('error'))).toEqual([expect.stringContaining('WRONGPASS')]);
  expect(linesWith(opened, 'degraded')).toHaveLength(1);
  await expect(connection.get('k')).rejects.toBeInstanceOf(StoreUnavailableError);
  const shown = [
    ...lines,
    connection.reason,
    inspect(connection, { depth: 10, showHidden: true, customInspect: false }),
  ];
  expect(shown.join('\n')).not.toMatch(/hunter2/);
  await admin.config('SET', 'requirepass', before);
  await healthyAgain(opened);
});

it('F14: the server does not answer at the start; that is said when the boot budget is spent, not later', async () => {
  proxy.mode = 'blackhole';
  const opened = await open(proxy.port, { bootBudgetMs: 100 });
  expect(linesWith(opened, 'degraded')).toEqual([expect.stringContaining('no answer within 100 ms')]);
  proxy.mode = 'pass';
  proxy.cut();
  await healthyAgain(opened);
});

it('F13: there is no server at the start; it is used when it appears', async () => {
  await servers.kill();
  const opened = await open(servers.port, { bootBudgetMs: 300 });
  expect(opened.connection).toMatchObject({ state: 'degraded', reason: 'ECONNREFUSED', isAvailable: false });
  await sleep(500);
  expect(opened.lines).toHaveLength(1);
  expect(linesWith(opened, 'degraded')).toHaveLength(1);
  await servers.restart();
  await healthyAgain(opened);
  expect(await opened.connection.get('k')).toBeNull();
  expect(opened.lines).toHaveLength(3);
});

it.each([1, 3])(
  'F29: half-open, exactly %i probe(s) reach the server, however many calls there are',
  async (trials) => {
    const opened = await open(proxy.port, { recoveryTimeoutMs: 400, halfOpenMaxCalls: trials });
    const { connection, moves } = opened;
    const callsOf = async (command: string) =>
      Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await servers.ask('INFO', 'commandstats'))?.[1] ?? 0);
    const get = () => connection.execute('get', (client) => client.get('k')).catch((error: unknown) => error);
    proxy.latencyMs = 150;
    await eventually(async () => {
      await Promise.all([get(), get()]);
      return connection.state === 'degraded';
    });
    // What was sent before it opened arrives.
    await sleep(300);
    const before = { gets: await callsOf('get'), pings: await callsOf('ping'), halfOpens: halfOpens(moves) };
    for (let times = 0; times < 3; times += 1) {
      const seen = halfOpens(moves);
      await eventually(() => halfOpens(moves) > seen, { everyMs: 1 });
      expect((await Promise.all(Array.from({ length: 100 }, get))).every(isStoreUnavailableError)).toBe(true);
    }
    await eventually(async () => {
      expect((await callsOf('ping')) - before.pings).toBe(trials * (halfOpens(moves) - before.halfOpens));
    });
    expect(halfOpens(moves) - before.halfOpens).toBeGreaterThanOrEqual(3);
    expect(await callsOf('get')).toBe(before.gets);
    proxy.latencyMs = 0;
    await healthyAgain(opened);
    expect(opened.changes.length).toBe(3);
  },
);

const halfOpens = (moves: readonly CircuitState[]) => moves.filter((state) => state === 'HALF_OPEN').length;

it('F30: what the server refuses for one command never moves it', async () => {
  const { connection, changes, moves, circuits } = await open();
  const broken = defineScript({ name: 'test.broken', body: `return redis.call('INCR', key)`, reply: Number });
  await servers.ask('SADD', 'set', 'member');
  const calls = [
    () => connection.execute('lpush', (client) => client.lpush('set', 'x')),
    () => connection.execute('nonsense', (client) => client.call('NONSENSE')),
    () => connection.run(broken, 'set'),
    () => connection.execute('eval', (client) => client.eval('return redis.error_reply("BUSINESS no")', 0)),
    () => connection.execute('own', () => Promise.reject(new TypeError('a mistake of ours'))),
  ];
  for (let times = 0; times < 40; times += 1) {
    const outcomes = await Promise.allSettled(calls.map((call) => call()));
    expect(outcomes.map(({ status }) => status)).toEqual(calls.map(() => 'rejected'));
  }
  await servers.ask('CONFIG', 'SET', 'maxmemory', '1');
  for (let times = 0; times < 40; times += 1) {
    await expect(connection.execute('set', (client) => client.set('a', '1'))).rejects.toThrow('OOM');
  }
  expect(await connection.get('k')).toBeNull();
  expect([changes, moves]).toEqual([[], []]);
  expect(circuits.getStats()[CIRCUIT]?.stats).toMatchObject({ failures: 0, rejects: 0 });
});

it('sends the commands of recovery steps while those of everybody else are refused', async () => {
  const opened = await open(servers.port);
  const { connection } = opened;
  const seen: unknown[] = [];
  connection.onRecovering(async () => {
    const { duringRecovery } = connection;
    seen.push([connection.isAvailable, duringRecovery.isAvailable]);
    seen.push(await connection.get('k').catch((error: unknown) => (error as Error).message));
    await duringRecovery.execute('set', (client) => client.set('k', 'told'));
    seen.push(String(await duringRecovery.get('k')));
  });
  await servers.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await eventually(() => seen.length > 0);
  await healthyAgain(opened);
  expect(seen).toEqual([[false, true], 'get was not executed: the server is being told what it missed', 'told']);
  expect([connection.isAvailable, connection.duringRecovery.isAvailable]).toEqual([true, true]);
  await connection.close();
  expect(connection.duringRecovery.isAvailable).toBe(false);
});

it('is held off by hand: an isolated circuit stays so over a new connection', async () => {
  const opened = await open(servers.port);
  const { connection, circuits } = opened;
  circuits.isolate(CIRCUIT);
  expect(connection).toMatchObject({ state: 'degraded', reason: 'isolated by hand' });
  await servers.ask('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await sleep(500);
  expect(connection.state).toBe('degraded');
  circuits.close(CIRCUIT);
  await healthyAgain(opened);
});
