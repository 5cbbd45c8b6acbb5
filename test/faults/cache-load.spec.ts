import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { register } from 'prom-client';
import { CircuitBreakerService, type Duration } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { Load, longest, median, type Sample } from '../support/load.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const DEADLINE_MS = 200;
const OPENED_WITHIN_MS = 1_500;
const HEALTHY_WITHIN_MS = 3_000;
const DEGRADED_TTL_MS = 1_500;
const KEYS = 20;

/** One fault, all of them under load at the same time: an application, its own server and a proxy in between. */
interface Scene {
  readonly server: TestServers;
  readonly proxy: FaultProxy;
  readonly app: CacheApp;
  readonly raw: Redis;
  /** The application's reads, and beside them calls that do nothing: what this machine costs just now. */
  readonly reads: Load;
  readonly nothing: Load;
  readonly loads: { count: number };
}

interface Fault {
  readonly id: string;
  readonly args?: readonly string[];
  readonly begin: (scene: Scene) => unknown;
  readonly end?: (scene: Scene) => unknown;
  readonly lastsMs: number;
  /** Whether the server counts as away. @default true */
  readonly isOutage?: boolean;
}

const cut = ({ proxy }: Scene): void => {
  proxy.mode = 'pass';
  proxy.cut();
};
const password = 'hunter2-before';

const FAULTS: readonly Fault[] = [
  { id: 'F01 killed', lastsMs: 2_000, begin: ({ server }) => server.kill(), end: ({ server }) => server.restart() },
  { id: 'F02 frozen', lastsMs: 2_500, begin: ({ server }) => server.pause(), end: ({ server }) => server.resume() },
  { id: 'F03 black hole', lastsMs: 2_500, begin: ({ proxy }) => (proxy.mode = 'blackhole'), end: cut },
  {
    id: 'F04 refused',
    lastsMs: 2_000,
    begin: ({ proxy }) => {
      proxy.mode = 'reject';
      proxy.cut();
    },
    end: cut,
  },
  {
    id: 'F05 slower than the deadline',
    lastsMs: 2_500,
    begin: ({ proxy }) => (proxy.latencyMs = 400),
    end: ({ proxy }) => (proxy.latencyMs = 0),
  },
  {
    id: 'F06 slow',
    lastsMs: 1_500,
    isOutage: false,
    begin: ({ proxy }) => (proxy.latencyMs = 15),
    end: ({ proxy }) => (proxy.latencyMs = 0),
  },
  {
    id: 'F09 loading',
    lastsMs: 0,
    args: ['--key-load-delay', '300', '--loading-process-events-interval-bytes', '1024'],
    async begin({ raw, server }) {
      await raw.eval(`for i = 1, 4000 do redis.call('SET', 'other:' .. i, string.rep('x', 100)) end`, 0);
      await raw.save();
      await server.kill();
    },
    end: ({ server }) => server.restart(),
  },
  {
    id: 'F11 a replica now',
    lastsMs: 1_500,
    begin: ({ raw }) => raw.replicaof(HOST, 1),
    end: ({ raw }) => raw.replicaof('NO', 'ONE'),
  },
  {
    id: 'F12 another password',
    lastsMs: 1_500,
    args: ['--requirepass', password],
    async begin({ raw }) {
      await raw.config('SET', 'requirepass', 'hunter2-after');
      await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    },
    end: ({ raw }) => raw.config('SET', 'requirepass', password),
  },
];

const p99 = (samples: readonly Sample[]): number =>
  samples.map(({ tookMs }) => tookMs).sort((a, b) => a - b)[Math.floor(samples.length * 0.99)] ?? 0;

const lines: string[] = [];
const cleanUps: (() => unknown)[] = [];

beforeAll(() => {
  for (const level of ['log', 'warn', 'error'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation((...said: unknown[]) => void lines.push(String(said[0])));
  }
});
afterAll(() => jest.restoreAllMocks());
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function set(args: readonly string[] = [], commandTimeout: Duration = `${DEADLINE_MS}ms`): Promise<Scene> {
  const server = await startStandalone(args);
  cleanUps.push(() => server.stop());
  const proxy = await FaultProxy.start(server.port);
  cleanUps.push(() => proxy.close());
  const credentials = args.includes(password) ? `:${password}@` : '';
  const raw = new Redis(`redis://${credentials}${HOST}:${server.port}`);
  raw.on('error', () => undefined);
  cleanUps.push(() => raw.disconnect());
  const app = await openCacheApp({ redis: { url: `redis://${credentials}${HOST}:${proxy.port}`, commandTimeout } });
  cleanUps.push(() => app.close());
  const loads = { count: 0 };
  const load = () => ((loads.count += 1), 'value');
  const key = () => `k${Math.floor(Math.random() * KEYS)}`;
  // So short-lived that most reads have to ask the server.
  const reads = new Load(() => app.cache.getOrSet(key(), { ttl: '30ms', jitter: 0 }, load));
  const nothing = new Load(() => Promise.resolve());
  cleanUps.push(() => Promise.all([reads.stop(), nothing.stop()]));
  return { server, proxy, app, raw, reads, nothing, loads };
}

/** Of transitions: that it has connected at the start is none. */
const linesOf = ({ proxy }: Scene, word: string) =>
  lines
    .filter((line) => line.includes(`cache: ${word} since`) && line.includes(`:${proxy.port} `))
    .filter(isTransition);

const transitionsOf = (scene: Scene): readonly number[] =>
  ['degraded', 'healthy'].map((word) => linesOf(scene, word).length);

const isTransition = (line: string): boolean => !line.includes('(connected)');

async function play(fault: Fault): Promise<Record<string, unknown>> {
  const { id, args, begin, end, lastsMs, isOutage = true } = fault;
  const scene = await set(args);
  const { app, reads, nothing } = scene;
  await sleep(300);
  // A machine that stood still while the others started is no fault.
  await eventually(() => app.cache.isRedisAvailable(), { withinMs: HEALTHY_WITHIN_MS });
  const before = transitionsOf(scene);
  const brokenAt = performance.now();
  await begin(scene);
  let openedAt = performance.now();
  if (isOutage) {
    await eventually(() => !app.cache.isRedisAvailable(), { withinMs: OPENED_WITHIN_MS + 2_000, everyMs: 5 });
    openedAt = performance.now();
  }
  await sleep(lastsMs - (performance.now() - brokenAt));
  const degraded = reads.since(openedAt + DEADLINE_MS).filter(({ at }) => at < performance.now());
  const idle = nothing.since(openedAt);
  await end?.(scene);
  const healedAt = performance.now();
  await eventually(() => app.cache.isRedisAvailable(), { withinMs: HEALTHY_WITHIN_MS + reads.lagMs });
  const healthyMs = performance.now() - healedAt;
  await sleep(200);
  await reads.stop();
  const room = reads.lagMs;
  return {
    id,
    failed: reads.samples.filter(({ error }) => error !== undefined).length,
    slowest: longest(reads.samples) < DEADLINE_MS + 100 + room ? 'ok' : longest(reads.samples),
    opened: openedAt - brokenAt < OPENED_WITHIN_MS + room ? 'ok' : openedAt - brokenAt,
    overhead: !isOutage || median(degraded) - median(idle) < 5 ? 'ok' : median(degraded),
    p99: !isOutage || p99(degraded) - p99(idle) < 5 + room ? 'ok' : p99(degraded),
    healthy: healthyMs < HEALTHY_WITHIN_MS + room ? 'ok' : healthyMs,
    lines: transitionsOf(scene).map((count, index) => count - (before[index] ?? 0)),
  };
}

const wellPlayed = ({ id, isOutage = true }: Fault) => ({
  id,
  failed: 0,
  slowest: 'ok',
  opened: 'ok',
  overhead: 'ok',
  p99: 'ok',
  healthy: 'ok',
  lines: isOutage ? [1, 1] : [0, 0],
});

it.each([[FAULTS.slice(0, 3)], [FAULTS.slice(3, 6)], [FAULTS.slice(6)]])(
  'no read fails or waits for long, whatever becomes of the server: %#',
  async (faults) => {
    expect(await Promise.all(faults.map(play))).toEqual(faults.map(wellPlayed));
    expect(lines.join('\n')).not.toMatch(/hunter2/);
  },
);

it('F01: a key is computed once per 1.5 seconds while the server is away', async () => {
  const { server, app } = await set();
  await server.kill();
  await eventually(() => !app.cache.isRedisAvailable());
  let runs = 0;
  const reads = new Load(() => app.cache.getOrSet('one', '60s', () => ++runs));
  const startedAt = performance.now();
  await sleep(2_000);
  await reads.stop();
  expect(runs).toBeGreaterThan(0);
  expect(runs).toBeLessThanOrEqual(Math.ceil((performance.now() - startedAt) / DEGRADED_TTL_MS));
});

/** What becomes of the breaker in front of the server. */
function movesOf({ module }: CacheApp): string[] {
  const moves: string[] = [];
  cleanUps.push(module.get(CircuitBreakerService).onStateChange(({ to }) => moves.push(to)));
  return moves;
}

it('F07, F08: killed connections and a short sleep are no outage to anybody who reads', async () => {
  const [killed, asleep] = await Promise.all([set(), set(['--enable-debug-command', 'yes'])]);
  const moves = movesOf(killed.app);
  const sleeping = asleep.raw.call('DEBUG', 'SLEEP', '0.3');
  for (let times = 0; times < 6; times++) {
    await sleep(250);
    await killed.raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }
  await sleeping;
  for (const { app, reads } of [killed, asleep]) {
    await eventually(() => app.cache.isRedisAvailable(), { withinMs: HEALTHY_WITHIN_MS });
    await reads.stop();
    expect(reads.samples.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(longest(reads.samples)).toBeLessThan(DEADLINE_MS + 100 + reads.lagMs);
  }
  expect(p99(killed.reads.samples)).toBeLessThan(100 + killed.reads.lagMs);
  expect(moves).toEqual([]);
});

it('F08: a server that is asleep for half a second has few calls fail, and the breaker stays closed', async () => {
  const { app, raw, reads, nothing } = await set(['--enable-debug-command', 'yes']);
  await reads.stop();
  const moves = movesOf(app);
  const startedAt = performance.now();
  const sleeping = raw.call('DEBUG', 'SLEEP', '0.5');
  expect(await app.cache.getOrSet('first', '60s', () => 'made')).toBe('made');
  expect(await app.cache.getOrSet('second', '60s', () => 'made')).toBe('made');
  expect(performance.now() - startedAt).toBeLessThan(700 + nothing.lagMs);
  await sleeping;
  await eventually(async () => {
    await app.cache.set('third', 'stored');
    expect(await raw.exists('app:v1:third')).toBe(1);
  });
  expect(app.cache.isRedisAvailable()).toBe(true);
  expect(moves).toEqual([]);
});

it('F10: a server without memory still serves hits and deletes; what cannot be stored is answered', async () => {
  const { raw, app } = await set([], '5s');
  const moves = movesOf(app);
  await app.cache.set('there', 'value');
  const [, used] = /used_memory:(\d+)/.exec(await raw.info('memory'))!;
  await raw.config('SET', 'maxmemory', String(Number(used) - 1_000));
  expect(await app.cache.get('there')).toBe('value');
  await app.cache.set('new', 'value');
  expect(await app.cache.getOrSet('computed', 60, () => 'computed')).toBe('computed');
  await app.cache.del('there');
  expect(await app.cache.get('there')).toBeUndefined();
  expect(app.cache.isRedisAvailable()).toBe(true);
  expect(app.cache.getMetrics().errors).toBeGreaterThan(0);
  expect(await register.metrics()).toMatch(/^cache_errors_total\{operation="write",kind="oom"\} [1-9]/m);
  expect(moves).toEqual([]);
});
