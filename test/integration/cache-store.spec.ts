import type { CacheEntry } from '../../src/cache/cache-entry.ts';
import { MemoryCacheStore } from '../../src/cache/memory-cache.store.ts';
import { systemClock } from '../../src/common/clock.ts';
import { MemoryKeyspace } from '../../src/common/memory-keyspace.ts';
import { describeCacheStoreContract } from '../contracts/cache-store.contract.ts';

const LIMITS = { maxEntries: 10_000, maxBytes: 64 * 1024 ** 2 };

describeCacheStoreContract('memory', async () => {
  const keyspace = new MemoryKeyspace<CacheEntry>(LIMITS);
  return {
    store: new MemoryCacheStore(keyspace, systemClock, () => undefined),
    putForeign: async (key, text) => keyspace.write(key, { type: 'text', text }, { bytes: text.length }),
    putSet: async (key) => keyspace.write(key, { type: 'set', members: new Set(['a']) }, { bytes: 1 }),
    close: async () => keyspace.clear(),
  };
});
