import { Redis } from 'ioredis';
import type { CacheEntry } from '../../src/cache/cache-entry.ts';
import { MemoryCacheStore } from '../../src/cache/memory-cache.store.ts';
import { systemClock } from '../../src/common/clock.ts';
import { MemoryKeyspace } from '../../src/common/memory-keyspace.ts';
import { RedisCacheStore } from '../../src/cache/redis-cache.store.ts';
import { REDIS_TIMEOUTS } from '../../src/redis/redis.options.ts';
import { RedisConnection } from '../../src/redis/redis.connection.ts';
import { HOST } from '../support/free-ports.ts';
import { startSingleNodeCluster, startStandalone } from '../support/servers.ts';
import { describeCacheStoreContract } from '../contracts/cache-store.contract.ts';

const LIMITS = { maxEntries: 10_000, maxBytes: 64 * 1024 ** 2 };

describeCacheStoreContract('memory', async () => {
  const keyspace = new MemoryKeyspace<CacheEntry>(LIMITS);
  return {
    store: new MemoryCacheStore(keyspace, systemClock, () => undefined),
    clockDoubtMs: 0,
    putForeign: async (key, text) => keyspace.write(key, { type: 'text', text }, { bytes: text.length }),
    putSet: async (key) => keyspace.write(key, { type: 'set', members: new Set(['a']) }, { bytes: 1 }),
    close: async () => keyspace.clear(),
  };
});

describe.each([
  ['server', startStandalone],
  ['server that refuses several keys in one command', startSingleNodeCluster],
])('%s', (name, start) => {
  describeCacheStoreContract(name, async () => {
    const server = await start();
    const nodes = [{ host: HOST, port: server.port }] as const;
    const connection = new RedisConnection({
      ...REDIS_TIMEOUTS,
      commandTimeoutMs: 2_000,
      target: { kind: 'standalone', nodes },
    });
    await connection.connect();
    const raw = new Redis(server.url);
    return {
      store: new RedisCacheStore(connection, { wake: 'app:v1@wake', notice: 'app:v1@notice' }),
      clockDoubtMs: 500,
      putForeign: (key, text) => raw.set(key, text),
      putSet: (key) => raw.sadd(key, 'a'),
      async close() {
        raw.disconnect();
        await connection.close();
        await server.stop();
      },
    };
  });
});
