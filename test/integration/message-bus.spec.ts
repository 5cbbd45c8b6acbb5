import { RedisMessageBus } from '../../src/message-bus/redis-message-bus.ts';
import { describeMessageBusContract } from '../contracts/message-bus.contract.ts';
import { Connections } from '../support/connections.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

let servers: TestServers;
const connections = new Connections();

beforeAll(async () => {
  servers = await startStandalone();
});
afterEach(connections.close);
afterAll(() => servers.stop());

describeMessageBusContract('RedisMessageBus', {
  isShared: true,
  create: async (onFailure) => new RedisMessageBus(await connections.open(servers.port), onFailure),
});
