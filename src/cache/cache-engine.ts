import type { KeySpace } from '../common/keys.ts';
import { CacheFlights } from './cache-flights.ts';
import { CacheKeeper } from './cache-keeper.ts';
import { CacheLeases } from './cache-lease.ts';
import { CacheMetrics } from './cache-metrics.ts';
import { CacheReader } from './cache-reader.ts';
import { CacheStack, type ReadTrace } from './cache-stack.ts';
import type { CacheStore } from './cache-store.interface.ts';
import { Notices } from './cache-sync.ts';
import { CacheTags } from './cache-tags.ts';
import type { CacheWaiters } from './cache-waiters.ts';
import { CacheWriter } from './cache-writer.ts';
import type { ResolvedCacheOptions } from './cache.options.ts';

export interface CacheEngineParts {
  readonly store: CacheStore;
  /** Woken by the store, or by what other processes say. */
  readonly waiters: CacheWaiters;
  readonly keys: KeySpace;
  readonly options: ResolvedCacheOptions;
  readonly trace?: ReadTrace | undefined;
}

/** The parts that work on one store, put together. */
export class CacheEngine {
  readonly metrics = new CacheMetrics();
  readonly flights = new CacheFlights();
  readonly notices = new Notices();
  readonly store: CacheStore;
  readonly reader: CacheReader;
  readonly stack: CacheStack;
  readonly writer: CacheWriter;

  constructor({ store, waiters, keys, options, trace }: CacheEngineParts) {
    const { metrics, flights, notices } = this;
    const tags = new CacheTags(store, keys);
    const keeper = new CacheKeeper(tags, metrics, {
      maxBytes: options.maxValueBytes,
      compressAboveBytes: options.compressAboveBytes,
    });
    const leases = new CacheLeases(store, waiters);
    this.store = store;
    this.reader = new CacheReader(store, tags, metrics, options.maxLatencyMs);
    this.stack = new CacheStack({
      trace,
      reader: this.reader,
      tags,
      leases,
      keeper,
      flights,
      metrics,
      now: () => store.now(),
    });
    this.writer = new CacheWriter({ store, tags, keeper, flights, notices, metrics });
  }
}
