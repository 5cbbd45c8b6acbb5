import type { CacheCounts } from '../cache/cache-metrics.ts';
import { STATS_WINDOWS } from '../cache/cache-windows.ts';
import { counter, gauge, histogram, type Facts, type MetricDefinition, type Reading } from './metric-definition.ts';

/** A figure of each cache that was ever read. */
const perCache = (read: (counts: CacheCounts) => number) =>
  function* ({ cache }: Facts): Iterable<Reading> {
    for (const [name, counts] of cache.caches) yield [read(counts), name];
  };

/** What the values lie in behind the memory tier: in memory mode that is memory, too. */
const storeTier = ({ local }: Facts): string => (local.mode === 'memory' ? 'l1' : 'l2');

function* hits(facts: Facts): Iterable<Reading> {
  for (const [name, counts] of facts.cache.caches) {
    yield [counts.memoryHits, name, 'l1'];
    yield [counts.storeHits, name, storeTier(facts)];
  }
}

function* errors({ telemetry }: Facts): Iterable<Reading> {
  for (const [operation, { unavailable, unknown, oom, refused }] of telemetry.operations) {
    yield [unavailable, operation, 'unavailable'];
    yield [unknown, operation, 'unknown'];
    yield [oom, operation, 'oom'];
    yield [refused, operation, 'refused'];
  }
}

function* inTiers(facts: Facts, of: 'entries' | 'bytes'): Iterable<Reading> {
  const { local, server } = facts;
  yield [local.l1[of], 'l1'];
  if (server !== null) yield [of === 'entries' ? server.keys : server.bytes, 'l2'];
}

/** The cache: its reads, what they cost, what it holds. */
export const CACHE_METRICS: readonly MetricDefinition[] = [
  counter('hits', 'Reads answered with a fresh value', ['cache', 'tier'], hits),
  counter(
    'misses',
    'Reads that found nothing fresh',
    ['cache'],
    perCache(({ misses }) => misses),
  ),
  counter(
    'stale',
    'Reads answered with a stale value, in grace',
    ['cache'],
    perCache(({ stale }) => stale),
  ),
  counter(
    'failures',
    'Reads that failed because their factory did',
    ['cache'],
    perCache(({ failures }) => failures),
  ),
  gauge(
    'hit_rate',
    'Share of reads answered from the cache, 0 to 1',
    ['window'],
    ({ local }) => STATS_WINDOWS.map((window) => [local.windows[window].hitRate, window] as const),
    'mean',
  ),
  counter(
    'loads',
    'Factory runs',
    ['cache'],
    perCache(({ loads }) => loads),
  ),
  histogram('factory_duration', 'How long factories took', ['cache'], function* ({ cache }) {
    for (const [name, { factories }] of cache.caches) yield [factories, name];
  }),
  counter('coalesced', 'Reads that shared the factory run of another read', [], ({ cache }) => [
    [cache.snapshot().coalesced],
  ]),
  histogram('operation_duration', 'How long trips to the store took', ['operation', 'tier'], function* (facts) {
    for (const [operation, { durations }] of facts.telemetry.operations) yield [durations, operation, storeTier(facts)];
  }),
  counter('errors', 'Trips to the store that failed', ['operation', 'kind'], errors),
  counter('slow', 'Reads the server took too long for', [], ({ cache }) => [[cache.slow]]),
  counter('sets', 'Values stored', [], ({ cache }) => [[cache.sets]]),
  counter('deletes', 'Keys removed', [], ({ cache }) => [[cache.deletes]]),
  counter('invalidations', 'Keys, patterns, tags and namespaces invalidated', ['by'], ({ cache }) =>
    Object.entries(cache.invalidated).map(([by, count]) => [count, by] as const),
  ),
  counter('rejected_fills', 'Values invalidated while they were computed', [], ({ cache }) => [[cache.rejectedFills]]),
  counter('corrupt', 'Stored bytes that could not be read', [], ({ cache }) => [[cache.corrupt]]),
  counter('unstorable', 'Values of a kind that cannot be stored', [], ({ cache }) => [[cache.unstorable]]),
  counter('oversize', 'Values too large to be stored', [], ({ cache }) => [[cache.oversize]]),
  counter('evictions', 'Entries that left memory for lack of room', ['reason'], ({ telemetry }) => [
    [telemetry.evictions, 'capacity'],
  ]),
  gauge('entries', 'Entries in memory; keys on the server', ['tier'], (facts) => inTiers(facts, 'entries')),
  gauge('bytes', 'Bytes in memory; memory of the server', ['tier'], (facts) => inTiers(facts, 'bytes')),
  counter('http_not_stored', 'Responses that were not kept', ['reason'], function* ({ telemetry }) {
    for (const [reason, { n }] of telemetry.notStored) yield [n, reason];
  }),
];
