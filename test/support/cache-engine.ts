import { CacheEngine } from '../../src/cache/cache-engine.ts';
import type { CacheEntry } from '../../src/cache/cache-entry.ts';
import type { Factory } from '../../src/cache/cache-factory.ts';
import { CacheWaiters } from '../../src/cache/cache-waiters.ts';
import { CACHE_DEFAULTS } from '../../src/cache/cache.options.ts';
import type { MemoryCacheStore } from '../../src/cache/memory-cache.store.ts';
import type { ResolvedReadOptions } from '../../src/cache/read-options.resolver.ts';
import { systemClock } from '../../src/common/clock.ts';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';
import { MemoryKeyspace } from '../../src/common/memory-keyspace.ts';

type StoreClass<S> = new (...parts: ConstructorParameters<typeof MemoryCacheStore>) => S;

/** What `engineOver` reads. */
export const KEY = 'app:v1:k';

/** A whole engine over a store in this process, whose class says how it behaves. */
export function engineOver<S extends MemoryCacheStore>(Store: StoreClass<S>) {
  const waiters = new CacheWaiters();
  const keyspace = new MemoryKeyspace<CacheEntry>({ maxEntries: 100, maxBytes: 1e6 });
  const store = new Store(keyspace, systemClock, (key) => waiters.wake(key));
  const keys = new KeySpace(KEY_DEFAULTS);
  const tier = { maxEntries: 10, maxBytes: 1e6, ttlMs: 60_000 };
  const engine = new CacheEngine({ tier, store, waiters, keys, options: CACHE_DEFAULTS });
  const counts = engine.metrics.caches.of('default');
  const read = <T>(factory: Factory<T>, options: ResolvedReadOptions, stampNames = ['epoch:']): Promise<T> =>
    engine.stack.getOrSet({ key: KEY, name: 'k', stampNames, options, factory, counts });
  return { engine, store, waiters, keys, read };
}
