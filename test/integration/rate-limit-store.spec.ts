import { setTimeout as sleep } from 'node:timers/promises';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';
import { MemoryRateLimitStore } from '../../src/rate-limit/memory-rate-limit.store.ts';
import { RedisRateLimitStore } from '../../src/rate-limit/redis-rate-limit.store.ts';
import type { ResolvedRedisTarget } from '../../src/redis/redis.options.ts';
import { describeRateLimitStoreContract, type RateLimitStoreSetup } from '../contracts/rate-limit-store.contract.ts';
import { Connections, standalone } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import {
  startCluster,
  startSentinels,
  startSingleNodeCluster,
  startStandalone,
  type TestServers,
} from '../support/servers.ts';

async function openMemory(): Promise<RateLimitStoreSetup> {
  let nowMs = Date.now();
  return {
    store: new MemoryRateLimitStore({ now: () => nowMs }),
    now: () => nowMs,
    pass: async (ms) => void (nowMs += ms),
    close: async () => undefined,
  };
}

type TargetOf = (servers: TestServers) => ResolvedRedisTarget;

const openServer =
  (start: () => Promise<TestServers>, targetOf: TargetOf) => async (): Promise<RateLimitStoreSetup> => {
    const servers = await start();
    const connections = new Connections();
    // A deadline that a busy machine keeps.
    const connection = await connections.open(targetOf(servers), { commandTimeoutMs: 5_000, bootBudgetMs: 15_000 });
    await eventually(() => connection.isAvailable, { withinMs: 15_000 });
    return {
      store: new RedisRateLimitStore(new KeySpace(KEY_DEFAULTS), connection, connection.duringRecovery),
      now: () => Date.now(),
      // A timer may be early by a millisecond.
      pass: (ms) => sleep(ms + 2),
      close: async () => {
        await connections.close();
        await servers.stop();
      },
    };
  };

const nodeOf = (port: number) => ({ host: HOST, port });

describeRateLimitStoreContract('memory', openMemory);
describeRateLimitStoreContract(
  'server',
  openServer(startStandalone, ({ port }) => standalone(port)),
);
describeRateLimitStoreContract(
  'server that refuses several keys',
  openServer(startSingleNodeCluster, ({ port }) => standalone(port)),
  { waits: false },
);
describeRateLimitStoreContract(
  'cluster',
  openServer(startCluster, ({ port }) => ({ kind: 'cluster', nodes: [nodeOf(port)] })),
  { waits: false },
);
describeRateLimitStoreContract(
  'sentinel',
  openServer(
    () => startSentinels('main'),
    ({ ports }) => ({ kind: 'sentinel', nodes: ports.slice(2).map(nodeOf) as never, sentinelName: 'main' }),
  ),
  { waits: false },
);
