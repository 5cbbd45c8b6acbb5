import { describeCacheServiceContract } from '../contracts/cache-service.contract.ts';
import { HOST } from '../support/free-ports.ts';
import { startCluster, startSentinels, startSingleNodeCluster, type TestServers } from '../support/servers.ts';

/** Deadlines that a busy machine keeps. */
const PATIENT = { commandTimeout: '5s', bootBudget: '15s' } as const;
const nodesOf = (ports: readonly number[]) => ports.map((port) => ({ host: HOST, port }));

describe.each([
  [
    'a server that refuses several keys in one command',
    startSingleNodeCluster,
    ({ url }: TestServers) => ({ url, ...PATIENT }),
  ],
  [
    'a cluster of three primaries with replicas',
    startCluster,
    ({ ports }: TestServers) => ({ cluster: { nodes: nodesOf(ports) }, ...PATIENT }),
  ],
  [
    'a primary watched by sentinels',
    startSentinels,
    ({ ports }: TestServers) => ({
      sentinels: nodesOf(ports.slice(2)),
      sentinelName: 'main',
      ...PATIENT,
    }),
  ],
])('%s', (name, start, redisOf) => {
  let servers: TestServers;

  beforeAll(async () => {
    servers = await start();
  }, 30_000);
  afterAll(() => servers.stop());

  describeCacheServiceContract(name, async () => ({ options: { redis: redisOf(servers) } }));
});
