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

/** Plain integer counters: they are read when somebody asks, so counting costs an addition. */
export class CacheMetrics {
  hits = 0;
  misses = 0;
  stale = 0;
  failures = 0;
  sets = 0;
  deletes = 0;
  invalidations = 0;
  errors = 0;
  loads = 0;
  coalesced = 0;
  rejectedFills = 0;
  corrupt = 0;
  unstorable = 0;
  oversize = 0;
  slow = 0;

  snapshot(): CacheMetricsSnapshot {
    const served = this.hits + this.stale;
    const reads = served + this.misses + this.failures;
    return Object.assign({}, this, { hitRate: reads === 0 ? 0 : served / reads });
  }

  reset(): void {
    Object.assign(this, new CacheMetrics());
  }
}
