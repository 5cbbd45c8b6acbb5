import { ByName } from '../common/by-name.ts';
import { COARSE_BOUNDS_MS, Histogram } from '../common/histogram.ts';

/** What happened since the start or the last `resetMetrics()`. `hits + misses + stale + failures` is the number of reads. */
export interface CacheMetricsSnapshot {
  readonly hits: number;
  readonly misses: number;
  /** Reads answered with a stale value, in grace. */
  readonly stale: number;
  /** Reads that failed because their factory did. */
  readonly failures: number;
  /** Values written, by `set` or after a factory. */
  readonly sets: number;
  /** Keys removed by `del` and `delPattern`. */
  readonly deletes: number;
  /** Tags and epochs invalidated. */
  readonly invalidations: number;
  /** Operations that the server did not answer in time or refused. */
  readonly errors: number;
  /** Factory runs. */
  readonly loads: number;
  /** Reads that shared the factory run of another read in this process. */
  readonly coalesced: number;
  /** Reads that ran their factory because caching is switched off for them; they are misses, too. */
  readonly bypassed: number;
  /** Values that came too late to be stored, because their key was invalidated while they were computed. */
  readonly rejectedFills: number;
  /** Stored bytes that could not be read. */
  readonly corrupt: number;
  /** Values that cannot be stored: functions, symbols, cycles. */
  readonly unstorable: number;
  /** Values over `maxValueBytes`. */
  readonly oversize: number;
  /** Reads that took longer than `maxLatency`, without their factory. */
  readonly slow: number;
  /** Share of reads answered from the cache, 0 to 1; 0 before the first read. */
  readonly hitRate: number;
}

/** Reads of one cache: what has one name in metrics. A hit in memory costs one addition and nothing else. */
export class CacheCounts {
  memoryHits = 0;
  storeHits = 0;
  misses = 0;
  stale = 0;
  failures = 0;
  loads = 0;
  coalesced = 0;
  bypassed = 0;
  /** How long the other reads took, waiting for factories included. */
  readonly reads = new Histogram();
  readonly factories = new Histogram(COARSE_BOUNDS_MS);

  get hits(): number {
    return this.memoryHits + this.storeHits;
  }

  reset(): void {
    this.memoryHits = this.storeHits = this.misses = this.stale = this.failures = 0;
    this.loads = this.coalesced = this.bypassed = 0;
    this.reads.clear();
    this.factories.clear();
  }
}

/** What was invalidated, by how it was named. */
interface Invalidations {
  key: number;
  pattern: number;
  tag: number;
  namespace: number;
}

/** Plain integer counters: they are read when somebody asks, so counting costs an addition. */
export class CacheMetrics {
  /** Reads, by the name of the cache. */
  readonly caches = new ByName(() => new CacheCounts());
  readonly invalidated: Invalidations = { key: 0, pattern: 0, tag: 0, namespace: 0 };
  sets = 0;
  deletes = 0;
  invalidations = 0;
  errors = 0;
  rejectedFills = 0;
  corrupt = 0;
  unstorable = 0;
  oversize = 0;
  slow = 0;

  snapshot(): CacheMetricsSnapshot {
    const { sets, deletes, invalidations, errors, rejectedFills, corrupt, unstorable, oversize, slow } = this;
    const counters = { sets, deletes, invalidations, errors, rejectedFills, corrupt, unstorable, oversize, slow };
    const reads = { hits: 0, misses: 0, stale: 0, failures: 0, loads: 0, coalesced: 0, bypassed: 0 };
    for (const counts of this.caches.values()) {
      for (const name of Object.keys(reads) as (keyof typeof reads)[]) reads[name] += counts[name];
    }
    const served = reads.hits + reads.stale;
    const all = served + reads.misses + reads.failures;
    return { ...reads, ...counters, hitRate: all === 0 ? 0 : served / all };
  }

  reset(): void {
    for (const counts of this.caches.values()) counts.reset();
    Object.assign(this.invalidated, { key: 0, pattern: 0, tag: 0, namespace: 0 });
    this.sets = this.deletes = this.invalidations = this.errors = this.rejectedFills = 0;
    this.corrupt = this.unstorable = this.oversize = this.slow = 0;
  }
}
