import {
  InvalidKeyError,
  InvalidOptionsError,
  OutcomeUnknownError,
  SerializationError,
  StoreUnavailableError,
  WrongTypeError,
} from '../common/errors.ts';
import { KEY_DEFAULTS, KeySpace } from '../common/keys.ts';
import { MemoryKeyspace } from '../common/memory-keyspace.ts';
import type { CollectionsStore } from './collections-store.interface.ts';
import { CollectionsService } from './collections.service.ts';
import type { CollectionValue } from './collections.values.ts';
import { MemoryCollectionsStore } from './memory-collections.store.ts';

const keys = new KeySpace(KEY_DEFAULTS);
const newStore = () => new MemoryCollectionsStore(new MemoryKeyspace({ maxEntries: 100, maxBytes: 1e6 }));

/** A server that answers from memory until `failure` is set. */
function newServer() {
  const memory = newStore();
  const server = { failure: undefined as Error | undefined, calls: 0 };
  const store = new Proxy<CollectionsStore>(memory, {
    get:
      (_, name: keyof CollectionsStore) =>
      async (key: string, ...rest: never[]) => {
        server.calls++;
        if (server.failure) throw server.failure;
        return (memory[name] as (...args: unknown[]) => unknown).call(memory, key, ...rest);
      },
  });
  return Object.assign(server, { store });
}

const unavailable = new StoreUnavailableError('collections', 'not connected');
const unknown = new OutcomeUnknownError('collections', 'no answer');

describe('CollectionsService', () => {
  it('keeps collections under the full keys of the application', async () => {
    const store = newStore();
    await new CollectionsService(keys, store).sadd('online', 'alice');
    expect(store.smembers('app:v1:online')).toEqual(['alice']);
  });

  describe('before anything is sent', () => {
    const server = newServer();
    const collections = new CollectionsService(keys, server.store);
    const withValue: [string, (value: CollectionValue) => Promise<unknown>][] = [
      ['sadd', (value) => collections.sadd('k', 'good', value)],
      ['srem', (value) => collections.srem('k', value)],
      ['sismember', (value) => collections.sismember('k', value)],
      ['hset (field)', (value) => collections.hset('k', value, 'good')],
      ['hset (value)', (value) => collections.hset('k', 'good', value)],
      ['hget', (value) => collections.hget('k', value)],
      ['hdel', (value) => collections.hdel('k', value)],
      ['lpush', (value) => collections.lpush('k', 'good', value)],
      ['rpush', (value) => collections.rpush('k', 'good', value)],
    ];
    const unacceptable = [undefined, null, NaN, Infinity, true, {}, ['a'], Symbol('s'), 10n, () => 1, '\ud800'];

    async function expectRefused(call: Promise<unknown>, reason: new (...args: never[]) => Error): Promise<void> {
      await expect(call).rejects.toBeInstanceOf(reason);
      expect(server.calls).toBe(0);
    }

    it.each(withValue)('%s refuses what has no text of its own', async (_name, operate) => {
      for (const value of unacceptable) {
        await expectRefused(operate(value as CollectionValue), SerializationError);
      }
    });

    it('says what it was given, but never the value itself', async () => {
      await expect(collections.hset('k', 'f', { pin: 4711 } as never)).rejects.toThrow(
        'value must be text or a finite number, not an object',
      );
      await expect(collections.sadd('k', 'secret\ud800')).rejects.toThrow(
        /^members must be well-formed text(?!.*secret)/,
      );
    });

    it.each(['sadd', 'srem', 'hdel', 'lpush', 'rpush'] as const)('%s refuses to act on nothing', async (name) => {
      await expectRefused(collections[name]('k'), InvalidOptionsError);
    });

    it.each([1.5, NaN, Infinity, 2 ** 53, '1', undefined, null, 1n, {}])(
      '%p is refused for a whole number',
      async (value) => {
        const number = value as number;
        await expectRefused(collections.incrby('k', number), InvalidOptionsError);
        await expectRefused(collections.lrange('k', number, 0), InvalidOptionsError);
        await expectRefused(collections.lrange('k', 0, number), InvalidOptionsError);
      },
    );

    it.each(['', '  ', undefined, 7])('%p is refused for a key', async (value) => {
      const key = value as string;
      for (const name of ['sadd', 'srem', 'sismember', 'hget', 'hdel', 'lpush', 'rpush'] as const) {
        await expectRefused(collections[name](key, 'a'), InvalidKeyError);
      }
      for (const name of ['smembers', 'scard', 'hgetall', 'lpop', 'rpop', 'incr', 'decr'] as const) {
        await expectRefused(collections[name](key), InvalidKeyError);
      }
      await expectRefused(collections.hset(key, 'f', 'v'), InvalidKeyError);
      await expectRefused(collections.lrange(key, 0, -1), InvalidKeyError);
      await expectRefused(collections.incrby(key, 1), InvalidKeyError);
    });
  });

  describe('without the server', () => {
    it('rejects with what is known about the command', async () => {
      const server = newServer();
      const collections = new CollectionsService(keys, server.store);
      for (const failure of [unavailable, unknown]) {
        server.failure = failure;
        await expect(collections.incr('c')).rejects.toBe(failure);
        await expect(collections.smembers('s')).rejects.toBe(failure);
      }
    });

    it('asks once for each call', async () => {
      const server = newServer();
      server.failure = unknown;
      await expect(new CollectionsService(keys, server.store).incr('c')).rejects.toBe(unknown);
      expect(server.calls).toBe(1);
    });
  });

  describe('without the server, when this process may answer', () => {
    const setUp = () => {
      const server = newServer();
      return { server, collections: new CollectionsService(keys, server.store, newStore()) };
    };

    it('answers from collections of its own', async () => {
      const { server, collections } = setUp();
      await collections.incrby('c', 10);
      server.failure = unavailable;
      expect(await collections.incr('c')).toBe(1);
      expect(await collections.incr('c')).toBe(2);
      expect(await collections.sadd('s', 'a')).toBe(1);
      expect(await collections.smembers('s')).toEqual(['a']);
    });

    it('makes no change here that the server may have made', async () => {
      const { server, collections } = setUp();
      server.failure = unknown;
      await expect(collections.incr('c')).rejects.toBe(unknown);
      await expect(collections.lpop('l')).rejects.toBe(unknown);
      server.failure = unavailable;
      expect(await collections.incrby('c', 0)).toBe(0);
    });

    it('answers a question that the server may have seen', async () => {
      const { server, collections } = setUp();
      server.failure = unknown;
      expect(await collections.smembers('s')).toEqual([]);
      expect(await collections.hgetall('h')).toEqual({});
      expect(await collections.lrange('l', 0, -1)).toEqual([]);
    });

    it('hides no mistake of the caller', async () => {
      const { server, collections } = setUp();
      await collections.sadd('k', 'a');
      await expect(collections.incr('k')).rejects.toBeInstanceOf(WrongTypeError);
      server.failure = unavailable;
      await collections.sadd('k', 'a');
      await expect(collections.incr('k')).rejects.toBeInstanceOf(WrongTypeError);
    });

    it('forgets its own answers once the server is back', async () => {
      const { server, collections } = setUp();
      server.failure = unavailable;
      await collections.incr('c');
      server.failure = undefined;
      expect(await collections.incr('c')).toBe(1);
      server.failure = unavailable;
      expect(await collections.incr('c')).toBe(1);
    });
  });
});
