import fc from 'fast-check';
import { CollectionsService } from '../../src/collections/collections.service.ts';
import { MemoryCollectionsStore } from '../../src/collections/memory-collections.store.ts';
import { RedisCollectionsStore } from '../../src/collections/redis-collections.store.ts';
import { bytesOfText } from '../../src/common/bounded-map.ts';
import { isCacheInfrastructureError } from '../../src/common/errors.ts';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';
import { MemoryKeyspace } from '../../src/common/memory-keyspace.ts';
import type { RedisClient } from '../../src/redis/redis.connection.ts';
import { type CollectionsSetup, describeCollectionsContract } from '../contracts/collections.contract.ts';
import { Connections } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { ONE_SERVER, TOPOLOGIES, type Topology } from '../support/topologies.ts';

/** Deadlines that a busy machine keeps: what happens after them is the business of one test only. */
const PATIENT = { commandTimeoutMs: 5_000, bootBudgetMs: 15_000 };

async function openMemory(): Promise<CollectionsSetup> {
  const keyspace = new MemoryKeyspace<never>({ maxEntries: 10_000, maxBytes: 2 ** 26 });
  return {
    store: new MemoryCollectionsStore(keyspace),
    putText: async (key, text) => keyspace.write(key, { type: 'text', text }, { bytes: bytesOfText(text) }),
    setExpiry: async (key, seconds) => keyspace.setExpiry(key, Date.now() + seconds * 1_000),
    hasExpiry: async (key) => keyspace.expiresAt(key) !== undefined,
    exists: async (key) => keyspace.read(key) !== undefined,
    clear: async () => keyspace.clear(),
    close: async () => undefined,
  };
}

const openServer = (topology: Topology) => async () => {
  const servers = await topology.start();
  const connections = new Connections();
  const connection = await connections.open(topology.targetOf(servers), PATIENT);
  const { client } = connection;
  const setup: CollectionsSetup = {
    store: new RedisCollectionsStore(connection),
    putText: (key, text) => client.set(key, text),
    setExpiry: (key, seconds) => client.expire(key, seconds),
    hasExpiry: async (key) => (await client.ttl(key)) > 0,
    exists: async (key) => (await client.exists(key)) === 1,
    clear: () => Promise.all(primariesOf(client).map((primary) => primary.flushall())),
    close: async () => {
      await connections.close();
      await servers.stop();
    },
  };
  return setup;
};

const primariesOf = (client: RedisClient) => ('nodes' in client ? client.nodes('master') : [client]);

describeCollectionsContract('memory', openMemory);
describeCollectionsContract('server', openServer(ONE_SERVER));
for (const [name, topology] of Object.entries(TOPOLOGIES)) describeCollectionsContract(name, openServer(topology));

const keys = new KeySpace(KEY_DEFAULTS);
const key = fc.constantFrom('a', 'b', '__proto__');
const text = fc.constantFrom<unknown>(
  '',
  'a',
  'b',
  'ж',
  '__proto__',
  'constructor',
  0,
  1,
  -2.5,
  '7',
  NaN,
  undefined,
  {},
);
const position = fc.integer({ min: -6, max: 6 });
const amount = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** 53, 0.5),
);

/** Any call of the service, wrong ones too. */
const call = fc.oneof(
  fc.tuple(fc.constantFrom('sadd', 'srem', 'hdel', 'lpush', 'rpush'), key, text, text),
  fc.tuple(fc.constantFrom('sadd', 'srem', 'sismember', 'hget', 'hdel', 'lpush', 'rpush'), key, text),
  fc.tuple(fc.constantFrom('smembers', 'scard', 'hgetall', 'lpop', 'rpop', 'incr', 'decr', 'sadd', 'rpush'), key),
  fc.tuple(fc.constant('hset'), key, text, text),
  fc.tuple(fc.constant('lrange'), key, position, position),
  fc.tuple(fc.constant('incrby'), key, amount),
);

/** What came back, or the code of what was thrown; the members of a set have no order. */
async function outcomeOf(collections: CollectionsService, [name, ...args]: readonly unknown[]): Promise<unknown> {
  const methods = collections as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  try {
    const result = await methods[name as string]!(...args);
    return name === 'smembers' ? (result as string[]).sort() : result;
  } catch (error) {
    return isCacheInfrastructureError(error) ? error.code : error;
  }
}

describe('collections in memory and on a server', () => {
  let memory: CollectionsSetup;
  let server: CollectionsSetup;

  beforeAll(async () => {
    [memory, server] = await Promise.all([openMemory(), openServer(ONE_SERVER)()]);
  });
  afterAll(() => Promise.all([memory.close(), server.close()]));

  it('give the same answers and the same errors to the same calls', async () => {
    const here = new CollectionsService(keys, memory.store);
    const there = new CollectionsService(keys, server.store);
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 60, size: 'max' }), async (calls) => {
        await Promise.all([memory.clear(), server.clear()]);
        for (const each of calls) {
          expect([each, await outcomeOf(here, each)]).toStrictEqual([each, await outcomeOf(there, each)]);
        }
        for (const name of ['a', 'b', '__proto__']) {
          expect(await memory.exists(keys.full(name))).toBe(await server.exists(keys.full(name)));
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('collections on a server that goes away', () => {
  const connections = new Connections();
  let servers: TestServers;
  let store: RedisCollectionsStore;

  beforeEach(async () => {
    servers = await startStandalone();
    store = new RedisCollectionsStore(await connections.open(servers.port, { bootBudgetMs: PATIENT.bootBudgetMs }));
  });
  afterEach(async () => {
    await connections.close();
    await servers.stop();
  });

  /** The code of the error that a call rejects with, or what it resolves with. */
  const codeOf = (call: Promise<unknown>) =>
    call.catch((error: unknown) => (isCacheInfrastructureError(error) ? error.code : error));

  it('reject a change without an answer as unknown, and never make it twice', async () => {
    const collections = new CollectionsService(keys, store);
    expect(await eventually(() => collections.incrby('c', 0))).toBe(0);
    servers.pause();
    const code = await codeOf(collections.incr('c'));
    servers.resume();
    expect(code).toBe('KEEP_OUTCOME_UNKNOWN');
    expect([0, 1]).toContain(await eventually(() => collections.incrby('c', 0)));
    expect(await servers.ask('GET', keys.full('c'))).toMatch(/^\$1\r\n[01]\r\n/);
  });

  it('reject what was not sent, and work again when it is back', async () => {
    const collections = new CollectionsService(keys, store);
    await eventually(() => collections.sadd('s', 'before'));
    await servers.kill();
    await eventually(async () => expect(await codeOf(collections.incr('c'))).toBe('KEEP_STORE_UNAVAILABLE'));
    expect(await codeOf(collections.smembers('s'))).toBe('KEEP_STORE_UNAVAILABLE');
    await servers.restart();
    expect(await eventually(() => collections.smembers('s'))).toEqual([]);
    expect(await collections.incr('c')).toBe(1);
  });

  it('are answered by this process meanwhile when that was chosen', async () => {
    const local = new MemoryCollectionsStore(new MemoryKeyspace({ maxEntries: 100, maxBytes: 2 ** 20 }));
    const collections = new CollectionsService(keys, store, local);
    await eventually(() => collections.sadd('s', 'there'));
    await servers.kill();
    await eventually(() => collections.sadd('s', 'here'));
    expect(await collections.smembers('s')).toEqual(['here']);
    await servers.restart();
    await eventually(async () => expect(await collections.smembers('s')).toEqual([]));
    expect(local.smembers(keys.full('s'))).toEqual([]);
  });
});
