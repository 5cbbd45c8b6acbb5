import { StoreUnavailableError } from '../../src/common/errors.ts';
import type { MessageBus } from '../../src/message-bus/message-bus.interface.ts';
import { RedisMessageBus } from '../../src/message-bus/redis-message-bus.ts';
import { describeMessageBusContract } from '../contracts/message-bus.contract.ts';
import { Connections, standalone } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

let servers: TestServers;
const connections = new Connections();

beforeEach(async () => {
  servers = await startStandalone();
});
afterEach(async () => {
  await connections.close();
  await servers.stop();
});

describeMessageBusContract('RedisMessageBus', {
  isShared: true,
  create: async (onFailure) => new RedisMessageBus(await connections.open(servers.port), onFailure),
});

describe('RedisMessageBus', () => {
  let proxy: FaultProxy;
  let bus: RedisMessageBus;
  let publisher: RedisMessageBus;
  let received: string[];

  beforeEach(async () => {
    proxy = await FaultProxy.start(servers.port);
    bus = new RedisMessageBus(await connections.open(proxy.port, { bootBudgetMs: 300 }));
    publisher = new RedisMessageBus(await connections.open(servers.port));
    received = [];
  });
  afterEach(async () => {
    await Promise.all([bus.close(), publisher.close()]);
    await proxy.close();
  });

  const listen = (to: MessageBus = bus, channel = 'channel') =>
    to.subscribe(channel, (payload) => void received.push(payload.toString()));

  const subscriberCount = async (channel: string): Promise<number> =>
    Number(/:(\d+)\r\n$/.exec(await servers.ask('PUBSUB', 'NUMSUB', channel))?.[1]);

  const expectHeard = (message: string) =>
    eventually(async () => {
      await publisher.publish('channel', message);
      expect(received).toContain(message);
    });

  it('opens one connection for all subscriptions, with the first of them', async () => {
    expect(proxy.accepted).toBe(1);
    await Promise.all(['channel', 'channel', 'other'].map((channel) => listen(bus, channel)));
    expect(proxy.accepted).toBe(2);
  });

  it('leaves a channel with its last listener, not before', async () => {
    const [first, second] = [await listen(), await listen()];
    await first();
    expect(await subscriberCount('channel')).toBe(1);
    await second();
    expect(await subscriberCount('channel')).toBe(0);
  });

  it('hears every channel again after its connection was cut, and says so once they are in force', async () => {
    await listen();
    await listen(bus, 'other');
    const heardAtReconnect: Promise<number>[] = [];
    bus.onReconnect(() => heardAtReconnect.push(subscriberCount('other')));
    proxy.cut();
    await eventually(() => expect(heardAtReconnect).toHaveLength(1));
    expect(await heardAtReconnect[0]).toBe(1);
    await expectHeard('after the cut');
    expect(heardAtReconnect).toHaveLength(1);
  });

  it('does not call the first connection a reconnection', async () => {
    const onReconnect = jest.fn();
    bus.onReconnect(onReconnect);
    await listen();
    await expectHeard('a');
    expect(onReconnect).not.toHaveBeenCalled();
  });

  it('says that it is not connected while it is not', async () => {
    await listen();
    proxy.mode = 'reject';
    proxy.cut();
    await eventually(() => !bus.isConnected);
    proxy.mode = 'pass';
    await eventually(() => bus.isConnected);
  });

  it('begins a subscription made during an outage when the server is back, and says so', async () => {
    proxy.mode = 'reject';
    proxy.cut();
    await eventually(async () => expect(bus.publish('channel', 'lost')).rejects.toBeInstanceOf(StoreUnavailableError));
    const onReconnect = jest.fn();
    bus.onReconnect(onReconnect);
    await listen();
    expect(bus.isConnected).toBe(false);
    proxy.mode = 'pass';
    await eventually(() => expect(onReconnect).toHaveBeenCalledTimes(1));
    await expectHeard('after the outage');
  });

  it('resolves within about a second when the server hangs, and begins the subscription later', async () => {
    proxy.mode = 'blackhole';
    const start = performance.now();
    await listen();
    expect(performance.now() - start).toBeLessThan(2_000);
    proxy.mode = 'pass';
    proxy.cut();
    await expectHeard('after the hang');
  });

  it('stays ended when a subscription is ended during an outage', async () => {
    const [end] = [await listen(), await listen(bus, 'other')];
    proxy.mode = 'reject';
    proxy.cut();
    await eventually(() => !bus.isConnected);
    await end();
    proxy.mode = 'pass';
    await eventually(() => bus.isConnected);
    expect(await subscriberCount('channel')).toBe(0);
    expect(await subscriberCount('other')).toBe(1);
  });

  it('rejects a subscription that the server does not allow, and carries the others', async () => {
    await servers.ask('ACL', 'SETUSER', 'limited', 'on', '>pass', '~*', '&channel', '+@all');
    const target = standalone(servers.port, { username: 'limited', password: 'pass' });
    const limited = new RedisMessageBus(await connections.open(target));
    await expect(listen(limited, 'forbidden')).rejects.toThrow('the server answered NOPERM');
    await listen(limited);
    await expect(listen(limited, 'forbidden')).rejects.toThrow('the server answered NOPERM');
    await expectHeard('allowed');
    await limited.close();
  });

  it('refuses subscriptions after it was closed', async () => {
    await bus.close();
    await expect(listen()).rejects.toBeInstanceOf(StoreUnavailableError);
  });
});
