import { quantileOf } from '../common/histogram.ts';
import type { CacheCounts, CacheMetrics } from './cache-metrics.ts';

/** How far back figures can be asked for. */
export type StatsWindow = '1m' | '5m' | '1h';

/** Reads within a window; the process may have been up for less. */
export interface WindowStats {
  readonly hits: number;
  readonly misses: number;
  readonly stale: number;
  readonly failures: number;
  readonly bypassed: number;
  readonly loads: number;
  readonly coalesced: number;
  /** Share of reads answered from the cache, 0 to 1. */
  readonly hitRate: number;
  /** Share of reads that failed, 0 to 1. */
  readonly errorRate: number;
  /** Reads per second. */
  readonly throughput: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export const STATS_WINDOWS: readonly StatsWindow[] = ['1m', '5m', '1h'];

/** Each window is a ring of snapshots that are this far apart. */
const STEP_MS: Readonly<Record<StatsWindow, number>> = { '1m': 1_000, '5m': 5_000, '1h': 60_000 };
const STEPS = 60;

const COUNTED = ['memoryHits', 'storeHits', 'misses', 'stale', 'failures', 'bypassed', 'loads', 'coalesced'] as const;
type Numbers = Record<(typeof COUNTED)[number], number> & { readonly buckets: readonly number[] };

/** The counters of every cache at one moment. */
interface Moment {
  readonly atMs: number;
  readonly caches: ReadonlyMap<string, Numbers>;
}

/**
 * Figures over the last minute, five minutes and hour: what the counters say now, less what they said then. Nothing is
 * done when something is counted; once a second the counters are copied.
 */
export class CacheWindows {
  readonly #rings: Readonly<Record<StatsWindow, Moment[]>> = { '1m': [], '5m': [], '1h': [] };
  #timer: NodeJS.Timeout | undefined;
  #start: Moment;

  constructor(
    private readonly metrics: CacheMetrics,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#start = this.#look();
  }

  /** Copies the counters from now on; the timer does not keep the process alive. */
  start(): void {
    this.#timer ??= setInterval(() => this.tick(), STEP_MS['1m']).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  tick(): void {
    const moment = this.#look();
    for (const window of STATS_WINDOWS) {
      const ring = this.#rings[window];
      const isDue = moment.atMs - (ring.at(-1) ?? this.#start).atMs >= STEP_MS[window] * 0.9;
      if (isDue && ring.push(moment) > STEPS) ring.shift();
    }
  }

  /** The counters begin again at zero. */
  reset(): void {
    for (const window of STATS_WINDOWS) this.#rings[window].length = 0;
    this.#start = this.#look();
  }

  /** Of one cache, or of all. */
  over(window: StatsWindow, cache?: string): WindowStats {
    const [then, now] = [this.#begin(window), this.#look()];
    const names = cache === undefined ? [...now.caches.keys()] : [cache];
    const changes = names.map((name) => difference(now.caches.get(name) ?? NONE, then.caches.get(name) ?? NONE));
    return statsOf(changes.reduce(sum, NONE), Math.max(now.atMs - then.atMs, 1));
  }

  /** Names of the caches that were ever read. */
  names(): string[] {
    return [...this.metrics.caches].map(([name]) => name);
  }

  #begin(window: StatsWindow): Moment {
    const ring = this.#rings[window];
    return ring.length < STEPS ? this.#start : (ring[0] ?? this.#start);
  }

  #look(): Moment {
    return {
      atMs: this.now(),
      caches: new Map([...this.metrics.caches].map(([name, counts]) => [name, numbersOf(counts)])),
    };
  }
}

const NONE: Numbers = { ...zeros(), buckets: [] };

function zeros(): Record<(typeof COUNTED)[number], number> {
  return { memoryHits: 0, storeHits: 0, misses: 0, stale: 0, failures: 0, bypassed: 0, loads: 0, coalesced: 0 };
}

function numbersOf(counts: CacheCounts): Numbers {
  const numbers = zeros();
  for (const name of COUNTED) numbers[name] = counts[name];
  return { ...numbers, buckets: [...counts.reads.counts] };
}

const combined = (act: (one: number, other: number) => number) => (one: Numbers, other: Numbers) => {
  const numbers = zeros();
  for (const name of COUNTED) numbers[name] = act(one[name], other[name]);
  const length = Math.max(one.buckets.length, other.buckets.length);
  const buckets = Array.from({ length }, (_, bucket) => act(one.buckets[bucket] ?? 0, other.buckets[bucket] ?? 0));
  return { ...numbers, buckets };
};
const difference = combined((now, then) => now - then);
const sum = combined((one, other) => one + other);

function statsOf({ memoryHits, storeHits, buckets, ...numbers }: Numbers, ms: number): WindowStats {
  const hits = memoryHits + storeHits;
  const served = hits + numbers.stale;
  const reads = served + numbers.misses + numbers.failures;
  // Hits in memory are not timed: each takes less than the first bucket holds.
  const [fastest = 0, ...slower] = buckets;
  const times = [fastest + memoryHits, ...slower];
  return {
    hits,
    ...numbers,
    hitRate: reads === 0 ? 0 : served / reads,
    errorRate: reads === 0 ? 0 : numbers.failures / reads,
    throughput: Number(((reads / ms) * 1_000).toPrecision(3)),
    p50Ms: quantileOf(times, 0.5),
    p95Ms: quantileOf(times, 0.95),
    p99Ms: quantileOf(times, 0.99),
  };
}
