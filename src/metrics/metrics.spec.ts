import { CacheMetrics } from '../cache/cache-metrics.ts';
import type { WindowStats } from '../cache/cache-windows.ts';
import type { CircuitState } from '../circuit-breaker/circuit.stats.ts';
import { Histogram } from '../common/histogram.ts';
import { Telemetry } from '../common/telemetry.ts';
import type { Facts } from './metric-definition.ts';
import { linesOf } from './metric-readings.ts';
import { METRICS } from './metrics.ts';

const took = (...ms: readonly number[]): Histogram => {
  const histogram = new Histogram([1, 100]);
  for (const each of ms) histogram.record(each);
  return histogram;
};

const circuit = (name: string, state: CircuitState) => ({
  ...{ name, state, isBypassed: false, nextTryAt: null, config: { name }, durations: took(5) },
  stats: { fires: 40, successes: 31, failures: 9, timeouts: 2, rejects: 5, fallbacks: 7, p50Ms: 1, p99Ms: 2 },
});

/** Facts of which no two are the same, so that none can stand for another. */
function facts(): Facts {
  const cache = new CacheMetrics();
  const shop = cache.caches.of('shop');
  Object.assign(shop, { memoryHits: 101, storeHits: 102, misses: 103, stale: 104, failures: 105, loads: 106 });
  shop.coalesced = 107;
  shop.factories.record(50);
  Object.assign(cache, { sets: 201, deletes: 202, rejectedFills: 203, corrupt: 204, unstorable: 205 });
  Object.assign(cache, { oversize: 206, slow: 207 });
  Object.assign(cache.invalidated, { key: 301, pattern: 302, tag: 303, namespace: 304 });
  const telemetry = new Telemetry();
  Object.assign(telemetry.operations.of('read'), { unavailable: 401, unknown: 402, refused: 403 });
  const outcomes = { acquired: 501, degraded: 502, conflict: 503, unavailable: 504, lost: 505 };
  Object.assign(telemetry.locks.of('order'), outcomes);
  Object.assign(telemetry.policies.of('otp'), { allowed: 601, refused: 602, degraded: 603 });
  telemetry.lockWaits.record(2_000);
  telemetry.lockHolds.record(3_000);
  telemetry.notStored.of('no-store').n = 701;
  telemetry.idempotency.of('replayed').n = 702;
  telemetry.upstreams.of('orders').of('200').n = 703;
  Object.assign(telemetry, { locksHeld: 704, evictions: 705, reconnects: 706 });
  const window = (hitRate: number) => ({ hitRate }) as WindowStats;
  return {
    cache,
    telemetry,
    local: {
      ...{ mode: 'degraded', journal: 801, degradedSince: 1, degradedReason: 'gone' },
      l1: { entries: 802, bytes: 803 },
      windows: { '1m': window(0.1), '5m': window(0.2), '1h': window(0.3) },
    },
    server: { keys: 804, bytes: 805 },
    circuits: [circuit('a', 'CLOSED'), circuit('b', 'OPEN'), circuit('c', 'HALF_OPEN'), circuit('d', 'ISOLATED')],
  };
}

/** As a scrape shows them. */
function shown(...all: readonly Facts[]): string[] {
  return METRICS.flatMap((definition) =>
    linesOf(definition, definition.name, all).map(({ metricName = definition.name, labels, value }) => {
      const written = Object.entries(labels).map(([name, label]) => `${name}="${label}"`);
      return `${metricName}{${written.join(',')}} ${value}`;
    }),
  );
}

describe('the metrics', () => {
  it.each([
    'hits_total{cache="shop",tier="l1"} 101',
    'hits_total{cache="shop",tier="l2"} 102',
    'misses_total{cache="shop"} 103',
    'stale_total{cache="shop"} 104',
    'failures_total{cache="shop"} 105',
    'loads_total{cache="shop"} 106',
    'coalesced_total{} 107',
    'hit_rate{window="1m"} 0.1',
    'hit_rate{window="1h"} 0.3',
    'sets_total{} 201',
    'deletes_total{} 202',
    'rejected_fills_total{} 203',
    'corrupt_total{} 204',
    'unstorable_total{} 205',
    'oversize_total{} 206',
    'slow_total{} 207',
    'invalidations_total{by="key"} 301',
    'invalidations_total{by="pattern"} 302',
    'invalidations_total{by="tag"} 303',
    'invalidations_total{by="namespace"} 304',
    'errors_total{operation="read",kind="unavailable"} 401',
    'errors_total{operation="read",kind="unknown"} 402',
    'errors_total{operation="read",kind="refused"} 403',
    'lock_acquire_total{lock="order",outcome="acquired"} 501',
    'lock_acquire_total{lock="order",outcome="degraded"} 502',
    'lock_acquire_total{lock="order",outcome="conflict"} 503',
    'lock_acquire_total{lock="order",outcome="unavailable"} 504',
    'lock_acquire_total{lock="order",outcome="lost"} 505',
    'rate_limit_decisions_total{policy="otp",decision="allowed"} 601',
    'rate_limit_decisions_total{policy="otp",decision="refused"} 602',
    'rate_limit_decisions_total{policy="otp",decision="degraded"} 603',
    'http_not_stored_total{reason="no-store"} 701',
    'idempotency_total{outcome="replayed"} 702',
    'gateway_requests_total{upstream="orders",code="200"} 703',
    'active_locks{} 704',
    'evictions_total{reason="capacity"} 705',
    'server_reconnects_total{} 706',
    'journal_entries{} 801',
    'entries{tier="l1"} 802',
    'bytes{tier="l1"} 803',
    'entries{tier="l2"} 804',
    'bytes{tier="l2"} 805',
    'server_up{} 0',
    'degraded{} 1',
    'circuit_breaker_state{breaker="a"} 0',
    'circuit_breaker_state{breaker="b"} 1',
    'circuit_breaker_state{breaker="c"} 2',
    'circuit_breaker_state{breaker="d"} 1',
    'circuit_breaker_calls_total{breaker="a",outcome="success"} 31',
    'circuit_breaker_calls_total{breaker="a",outcome="failure"} 7',
    'circuit_breaker_calls_total{breaker="a",outcome="timeout"} 2',
    'circuit_breaker_calls_total{breaker="a",outcome="reject"} 5',
    'circuit_breaker_calls_total{breaker="a",outcome="fallback"} 7',
    'circuit_breaker_duration_seconds_sum{breaker="a"} 0.005',
    'lock_wait_seconds_sum{} 2',
    'lock_hold_seconds_sum{} 3',
    'factory_duration_seconds_sum{cache="shop"} 0.05',
  ])('show %s', (line) => {
    expect(shown(facts())).toContain(line);
  });

  it('say in seconds, bucket by bucket, how long things took', () => {
    const { circuits, ...others } = facts();
    const one = { ...others, circuits: [{ ...circuits[0]!, durations: took(0.5, 50, 60, 5_000) }] };
    expect(shown(one).filter((line) => line.startsWith('circuit_breaker_duration'))).toEqual([
      'circuit_breaker_duration_seconds_bucket{le="0.001",breaker="a"} 1',
      'circuit_breaker_duration_seconds_bucket{le="0.1",breaker="a"} 3',
      'circuit_breaker_duration_seconds_bucket{le="+Inf",breaker="a"} 4',
      'circuit_breaker_duration_seconds_sum{breaker="a"} 5.1105',
      'circuit_breaker_duration_seconds_count{breaker="a"} 4',
    ]);
  });

  it('of several applications are added up, averaged, or the worst of them', () => {
    const one = facts();
    const other = facts();
    const fine = { ...other.local, mode: 'server', degradedSince: null, windows: { ...other.local.windows } } as const;
    const window = { hitRate: 0.5 } as WindowStats;
    const both = shown(one, { ...other, local: { ...fine, windows: { ...fine.windows, '1m': window } } });
    expect(both).toEqual(
      expect.arrayContaining([
        'sets_total{} 402',
        'hit_rate{window="1m"} 0.3',
        'server_up{} 0',
        'degraded{} 1',
        'circuit_breaker_state{breaker="c"} 2',
        'lock_hold_seconds_sum{} 6',
        'lock_hold_seconds_count{} 2',
      ]),
    );
    const closed = { ...other, circuits: [circuit('b', 'CLOSED')] };
    expect(shown(closed, one)).toContain('circuit_breaker_state{breaker="b"} 1');
  });

  it('in memory mode know one tier, and no server that could be down', () => {
    const { local, ...others } = facts();
    const lines = shown({ ...others, server: null, local: { ...local, mode: 'memory', degradedSince: null } });
    expect(lines.filter((line) => line.includes('tier="l2"') || line.startsWith('server_up'))).toEqual([]);
    expect(lines).toContain('degraded{} 0');
  });
});
