import 'reflect-metadata';
import { Controller, Get, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { CacheModule, CacheService, type RedisOptions } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { FaultProxy } from '../support/proxy.ts';
import { ask, startCluster, startSentinels, startStandalone, type TestServers } from '../support/servers.ts';

const BUDGET_MS = 500;
const LISTENS_WITHIN_MS = BUDGET_MS + 1_000;
const USED_WITHIN_MS = 3_000;

@Controller()
class CountController {
  runs = 0;

  constructor(private readonly cache: CacheService) {}

  @Get('count')
  count(): Promise<string> {
    return this.cache.getOrSet('count', '60s', () => `run ${(this.runs += 1)}`);
  }
}

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanUps.splice(0).map((cleanUp) => cleanUp()));
});

/** An application, where it is asked, and how long it took until it listened. */
async function listenWith(
  redis: RedisOptions | false,
): Promise<{ app: INestApplication; url: string; tookMs: number }> {
  const start = performance.now();
  const imports = [CacheModule.forRoot({ redis, logLevel: 'fatal' })];
  const module = await Test.createTestingModule({ imports, controllers: [CountController] }).compile();
  const app = module.createNestApplication();
  cleanUps.push(() => app.close());
  await app.listen(0, HOST);
  const tookMs = performance.now() - start;
  const { port } = (app.getHttpServer() as Server).address() as AddressInfo;
  return { app, url: `http://${HOST}:${port}/count`, tookMs };
}

const textOf = async (url: string): Promise<string> => (await fetch(url, { headers: { connection: 'close' } })).text();
const nodesOf = (ports: readonly number[]) => ports.map((port) => ({ host: HOST, port }));
const budget = { bootBudget: `${BUDGET_MS}ms` } as const;

/** What is not there yet: where it will be, how it appears, and which of its servers take writes. */
interface Absent {
  readonly redis: RedisOptions;
  readonly primaries: readonly number[];
  appear(): Promise<unknown>;
}

async function stopped(servers: TestServers): Promise<TestServers> {
  cleanUps.push(() => servers.stop());
  await Promise.all(servers.ports.map((_, index) => servers.kill(index)));
  return servers;
}

const restartAll = (servers: TestServers) => Promise.all(servers.ports.map((_, index) => servers.restart(index)));

async function deadPort(): Promise<Absent> {
  const servers = await stopped(await startStandalone());
  return {
    redis: { url: servers.url, ...budget },
    primaries: servers.ports,
    appear: () => servers.restart(),
  };
}

async function blackHole(): Promise<Absent> {
  const servers = await startStandalone();
  const proxy = await FaultProxy.start(servers.port);
  cleanUps.push(
    () => servers.stop(),
    () => proxy.close(),
  );
  proxy.mode = 'blackhole';
  return {
    redis: { host: HOST, port: proxy.port, ...budget },
    primaries: servers.ports,
    appear: async () => (proxy.mode = 'pass'),
  };
}

async function deadSeeds(): Promise<Absent> {
  const servers = await stopped(await startCluster());
  const isFormed = async () => (await ask(servers.port, 'CLUSTER', 'INFO')).includes('cluster_state:ok');
  return {
    redis: { cluster: { nodes: nodesOf(servers.ports) }, ...budget },
    primaries: servers.ports,
    appear: async () => {
      await restartAll(servers);
      await eventually(isFormed, { withinMs: 10_000 });
    },
  };
}

async function deadSentinels(): Promise<Absent> {
  const servers = await stopped(await startSentinels('main'));
  const sentinels = servers.ports.slice(2);
  const isAgreed = async () => (await ask(sentinels[0]!, 'SENTINEL', 'CKQUORUM', 'main')).startsWith('+OK');
  return {
    redis: { sentinels: nodesOf(sentinels), sentinelName: 'main', ...budget },
    primaries: servers.ports.slice(0, 2),
    appear: async () => {
      await restartAll(servers);
      await eventually(isAgreed, { withinMs: 10_000 });
    },
  };
}

async function wrongName(): Promise<Absent> {
  const absent = await deadPort();
  return { ...absent, redis: { host: 'no-such-host.invalid', port: 6_379, ...budget }, primaries: [] };
}

it.each([
  ['its server is not there (F13)', deadPort],
  ['its server says nothing (F14)', blackHole],
  ['the name of its server is wrong (F14)', wrongName],
  ['not one seed of its cluster is there (F13)', deadSeeds],
  ['not one of its sentinels is there (F13)', deadSentinels],
])('an application starts and serves although %s, and uses what appears later', async (_, arrange) => {
  const absent = await arrange();
  // What this machine takes for everything else.
  const { tookMs: usualMs } = await listenWith(false);
  const { app, url, tookMs } = await listenWith(absent.redis);
  expect(tookMs).toBeLessThan(LISTENS_WITHIN_MS + usualMs);
  const cache = app.get(CacheService);
  expect(cache.isRedisAvailable()).toBe(false);
  expect(await textOf(url)).toBe('run 1');
  // Served from memory meanwhile.
  expect(await textOf(url)).toBe('run 1');
  if (absent.primaries.length === 0) return;

  await absent.appear();
  await eventually(() => cache.getLocalStats().mode === 'server', { withinMs: USED_WITHIN_MS + usualMs });
  await cache.set('after', 'stored');
  const sizes = await Promise.all(absent.primaries.map((port) => ask(port, 'DBSIZE')));
  expect(sizes.some((size) => size !== ':0\r\n')).toBe(true);
  // Nothing made alone is trusted.
  expect(await textOf(url)).toBe('run 2');
});
