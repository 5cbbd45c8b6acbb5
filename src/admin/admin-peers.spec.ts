import { setTimeout as sleep } from 'node:timers/promises';
import { StoreUnavailableError } from '../common/errors.ts';
import { MemoryMessageBus } from '../message-bus/memory-message-bus.ts';
import type { MessageBus } from '../message-bus/message-bus.interface.ts';
import type { RedisConnection } from '../redis/redis.connection.ts';
import { AdminPeers, type PeerMessage } from './admin-peers.ts';

/** A server on which so many instances listen. */
const listening = (count: number): RedisConnection =>
  ({
    client: { call: async () => ['admin', count] },
    execute: (_: string, command: () => Promise<unknown>) => command(),
  }) as unknown as RedisConnection;

const heard: [string, PeerMessage][] = [];
beforeEach(() => (heard.length = 0));

async function open(
  name: string,
  bus: Pick<MessageBus, 'subscribe' | 'publish'>,
  connection: RedisConnection,
): Promise<AdminPeers> {
  const peers = new AdminPeers(name, bus as MessageBus, 'admin', connection);
  peers.onMessage((message) => void heard.push([name, message]));
  await peers.start();
  return peers;
}

it('tells all instances and waits until every one has heard', async () => {
  const bus = new MemoryMessageBus();
  const slow: Pick<MessageBus, 'subscribe' | 'publish'> = {
    subscribe: (channel, listener) => bus.subscribe(channel, listener),
    publish: async (channel, payload) => {
      await sleep(20);
      await bus.publish(channel, payload);
    },
  };
  const [one, other] = [await open('one', bus, listening(2)), await open('other', slow, listening(2))];
  expect(await one.tell({ kind: 'x', n: 1 })).toEqual({ instances: ['one', 'other'], isComplete: true });
  expect(heard.sort()).toEqual([
    ['one', { kind: 'x', n: 1 }],
    ['other', { kind: 'x', n: 1 }],
  ]);
  await other.stop();
  expect(await one.tell({ kind: 'x' })).toEqual({ instances: ['one'], isComplete: false });
});

it('asks all instances, and has the answer of each', async () => {
  const bus = new MemoryMessageBus();
  const [one, other] = [await open('one', bus, listening(2)), await open('other', bus, listening(2))];
  one.onMessage(({ kind }) => (kind === 'x' ? 1 : undefined));
  other.onMessage(({ kind }) => (kind === 'x' ? ['2'] : undefined));
  const answers = async (kind: string) => [...(await one.ask({ kind })).answers].sort();
  expect(await answers('x')).toEqual([['one', 1], ['other', ['2']]]); // prettier-ignore
  expect(await answers('y')).toEqual([['one', undefined], ['other', undefined]]); // prettier-ignore
  jest.spyOn(bus, 'publish').mockRejectedValue(new StoreUnavailableError('publish', 'away'));
  expect(await answers('x')).toEqual([['one', 1]]);
});

it('does not fall over what others publish', async () => {
  const bus = new MemoryMessageBus();
  const peers = await open('one', bus, listening(1));
  for (const text of ['', 'null', '7', '{}', '{"id":1,"from":"x"}', '{"id":"a","from":"x","message":{"kind":7}}']) {
    await bus.publish('admin', text);
  }
  await bus.publish('admin', JSON.stringify({ id: 'a', from: 'x', message: { kind: 'k', long: 'x'.repeat(70_000) } }));
  expect(await peers.tell({ kind: 'x' })).toMatchObject({ isComplete: true });
  expect(heard).toEqual([['one', { kind: 'x' }]]);
});

it('does here at least what cannot be told to others', async () => {
  const bus = new MemoryMessageBus();
  const peers = await open('one', bus, listening(2));
  jest.spyOn(bus, 'publish').mockRejectedValue(new StoreUnavailableError('publish', 'away'));
  expect(await peers.tell({ kind: 'x' })).toEqual({ instances: ['one'], isComplete: false });
  expect(heard).toEqual([['one', { kind: 'x' }]]);
});
