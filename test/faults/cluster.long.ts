import { setTimeout as sleep } from 'node:timers/promises';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { expectFailover } from '../support/failover.ts';
import { HOST } from '../support/free-ports.ts';
import { startCluster, type TestServers } from '../support/servers.ts';

const DEADLINE_MS = 200;
/** As clusters are set up, but for the patience of those who wait for this test. */
const NODE_TIMEOUT_MS = 2_000;
const FROZEN_MS = 10_000;
const HEALTHY_WITHIN_MS = 8_000;

let servers: TestServers;
let app: CacheApp;

beforeAll(async () => {
  servers = await startCluster(['--cluster-node-timeout', String(NODE_TIMEOUT_MS)]);
}, 30_000);
afterAll(() => servers.stop());
beforeEach(async () => {
  const nodes = servers.ports.map((port) => ({ host: HOST, port }));
  app = await openCacheApp({ redis: { cluster: { nodes }, commandTimeout: `${DEADLINE_MS}ms` } });
});
afterEach(() => app.close());

it.each([
  ['killed (F32)', 1, (primary: number) => servers.kill(primary), DEADLINE_MS + 100, undefined],
  [
    `frozen for ${FROZEN_MS} ms (F33)`,
    0,
    async (primary: number) => servers.pause(primary),
    600,
    async (primary: number) => {
      await sleep(FROZEN_MS - HEALTHY_WITHIN_MS / 2);
      servers.resume(primary);
    },
  ],
])(
  `a cluster that waits ${NODE_TIMEOUT_MS} ms for a node is used again soon after its primary was %s`,
  async (_, shard, fault, boundMs, after) => {
    await expectFailover({ servers, app, shard, fault, after, boundMs, healthyWithinMs: HEALTHY_WITHIN_MS });
  },
  60_000,
);
