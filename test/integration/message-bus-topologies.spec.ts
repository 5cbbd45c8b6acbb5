import { RedisMessageBus } from '../../src/message-bus/redis-message-bus.ts';
import { describeMessageBusContract } from '../contracts/message-bus.contract.ts';
import { Connections } from '../support/connections.ts';
import type { TestServers } from '../support/servers.ts';
import { TOPOLOGIES } from '../support/topologies.ts';

/** Deadlines that a busy machine keeps. */
const PATIENT = { commandTimeoutMs: 5_000, bootBudgetMs: 15_000 };

describe.each(Object.entries(TOPOLOGIES))('%s', (name, { start, targetOf }) => {
  let servers: TestServers;
  const connections = new Connections();

  beforeAll(async () => {
    servers = await start();
  }, 30_000);
  afterEach(connections.close);
  afterAll(() => servers.stop());

  describeMessageBusContract(name, {
    isShared: true,
    create: async (onFailure) => new RedisMessageBus(await connections.open(targetOf(servers), PATIENT), onFailure),
  });
});
