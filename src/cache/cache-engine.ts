import { systemClock, TurnClock, type Clock } from '../common/clock.ts';
import type { KeySpace } from '../common/keys.ts';
import { OperationCounts } from '../common/telemetry.ts';
import { CacheChanges } from './cache-changes.ts';
import { CacheInvalidator } from './cache-invalidator.ts';
import { CacheJournal } from './cache-journal.ts';
import { CacheKeeper } from './cache-keeper.ts';
import { CacheLeases } from './cache-lease.ts';
import { CacheLoad } from './cache-load.ts';
import { CacheLocal } from './cache-local.ts';
import { CacheMetrics } from './cache-metrics.ts';
import { CacheOutage } from './cache-outage.ts';
import { CacheReader } from './cache-reader.ts';
import { CacheRecovery } from './cache-recovery.ts';
import { CacheRefresh } from './cache-refresh.ts';
import { CacheStack, type ReadTrace } from './cache-stack.ts';
import type { CacheStore } from './cache-store.interface.ts';
import { Notices } from './cache-notices.ts';
import { CacheTags } from './cache-tags.ts';
import type { CacheWaiters } from './cache-waiters.ts';
import { CacheWindows } from './cache-windows.ts';
import { CacheWriter } from './cache-writer.ts';
import type { ResolvedCacheOptions } from './cache.options.ts';
import { RefreshBackoff } from './refresh-backoff.ts';
import { MemoryTier, type MemoryTierOptions } from './memory-tier.ts';

export interface CacheEngineParts {
  readonly store: CacheStore;
  /** The same store for what has to be done before it is trusted again. @default store */
  readonly recoveryStore?: CacheStore | undefined;
  /** Bounds of the memory tier in front of the store. */
  readonly tier: MemoryTierOptions;
  /** Woken by the store, or by what other processes say. */
  readonly waiters: CacheWaiters;
  readonly keys: KeySpace;
  readonly options: ResolvedCacheOptions;
  readonly trace?: ReadTrace | undefined;
  readonly clock?: Clock;
  /** Told of each entry that leaves the memory tier for lack of room. */
  readonly onEvict?: (() => unknown) | undefined;
  /** Where reads of the store are counted. */
  readonly trips?: OperationCounts | undefined;
}

/** The parts that work on one store, put together. */
export class CacheEngine {
  readonly metrics = new CacheMetrics();
  readonly windows = new CacheWindows(this.metrics);
  readonly notices = new Notices();
  readonly store: CacheStore;
  readonly tags: CacheTags;
  readonly journal: CacheJournal;
  readonly local: CacheLocal;
  readonly outage: CacheOutage;
  readonly recovery: CacheRecovery;
  readonly reader: CacheReader;
  readonly refresh: CacheRefresh;
  readonly backoff: RefreshBackoff;
  readonly stack: CacheStack;
  readonly writer: CacheWriter;
  readonly invalidator: CacheInvalidator;

  constructor({
    store,
    recoveryStore = store,
    tier,
    waiters,
    keys,
    options,
    trace,
    clock = systemClock,
    onEvict,
    trips = new OperationCounts(),
  }: CacheEngineParts) {
    const { metrics, notices } = this;
    const now = (): number => store.now();
    const { maxValueBytes: maxBytes, compressAboveBytes, maxLatencyMs, batchSize } = options;
    const tags = new CacheTags(store, keys);
    const keeper = new CacheKeeper(tags, metrics, { maxBytes, compressAboveBytes }, now);
    const isAway = (name: string): boolean => store.shardOf(keys.root + name)?.isAvailable !== true;
    const local = new CacheLocal(new MemoryTier(tier, tags, new TurnClock(clock), now, onEvict, isAway), tags, keys);
    const journal = new CacheJournal({
      all: () => store.shards,
      ofKey: (key) => store.shardOf(key),
      ofStamp: (name) => tags.shardOf(name),
    });
    const leases = new CacheLeases(store, waiters);
    const reader = new CacheReader(store, tags, local, metrics, journal, trips, maxLatencyMs);
    const recovery = new CacheRecovery({ store, recoveryStore, tags, journal, notices });
    this.store = store;
    this.tags = tags;
    this.journal = journal;
    this.local = local;
    this.reader = reader;
    this.recovery = recovery;
    this.outage = new CacheOutage(local, recovery, () => store.shards);
    const backoff = new RefreshBackoff(clock);
    const refresh = new CacheRefresh({ reader, tags, leases, keeper, local, journal, metrics, backoff, now });
    this.backoff = backoff;
    this.refresh = refresh;
    const load = new CacheLoad({ reader, refresh, local, journal, backoff, metrics, now });
    this.stack = new CacheStack({ reader, load, refresh, local, journal, trace });
    const changes = new CacheChanges({ store, recovery, metrics });
    const parts = { store, tags, local, journal, notices, metrics, changes, batchSize };
    const writer = new CacheWriter({ ...parts, keeper });
    this.writer = writer;
    this.invalidator = new CacheInvalidator({ ...parts, begun: () => writer.flush() });
  }
}
