import type { CacheMetricsSnapshot } from '../cache/cache-metrics.ts';
import type { LocalStats } from '../cache/cache-stats.ts';

/** A figure of one application's cache, read when Prometheus asks for it. */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly kind: 'Counter' | 'Gauge';
  /** Labels from a closed set, never keys or users. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly read: (metrics: CacheMetricsSnapshot, stats: LocalStats) => number;
}

const counter = (name: string, help: string, read: MetricDefinition['read']): MetricDefinition => ({
  name: `cache_${name}_total`,
  help,
  kind: 'Counter',
  read,
});

const gauge = (name: string, help: string, read: MetricDefinition['read'], labels = {}): MetricDefinition => ({
  name: `cache_${name}`,
  help,
  kind: 'Gauge',
  labels,
  read,
});

export const METRICS: readonly MetricDefinition[] = [
  counter('hits', 'Reads answered with a fresh value', ({ hits }) => hits),
  counter('misses', 'Reads that found nothing fresh', ({ misses }) => misses),
  counter('stale', 'Reads answered with a stale value, in grace', ({ stale }) => stale),
  counter('failures', 'Reads that failed because their factory did', ({ failures }) => failures),
  counter('sets', 'Values stored', ({ sets }) => sets),
  counter('deletes', 'Keys removed', ({ deletes }) => deletes),
  counter('invalidations', 'Tags, namespaces and whole caches invalidated', ({ invalidations }) => invalidations),
  counter('errors', 'Operations the server refused or did not answer in time', ({ errors }) => errors),
  counter('loads', 'Factory runs', ({ loads }) => loads),
  counter('coalesced', 'Reads that shared the factory run of another read', ({ coalesced }) => coalesced),
  counter('rejected_fills', 'Values invalidated while they were computed', ({ rejectedFills }) => rejectedFills),
  counter('corrupt', 'Stored bytes that could not be read', ({ corrupt }) => corrupt),
  counter('unstorable', 'Values of a kind that cannot be stored', ({ unstorable }) => unstorable),
  counter('oversize', 'Values too large to be stored', ({ oversize }) => oversize),
  counter('slow', 'Reads the server took too long for', ({ slow }) => slow),
  gauge('hit_rate', 'Share of reads answered from the cache', ({ hitRate }) => hitRate, { window: 'all' }),
  gauge('entries', 'Entries held', (_, { l1 }) => l1.entries, { tier: 'l1' }),
  gauge('bytes', 'Bytes held', (_, { l1 }) => l1.bytes, { tier: 'l1' }),
  gauge('degraded', 'Whether the configured server does not answer', (_, { degradedSince }) =>
    degradedSince === null ? 0 : 1,
  ),
];
