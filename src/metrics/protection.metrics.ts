import type { CircuitState } from '../circuit-breaker/circuit.stats.ts';
import { counter, gauge, histogram, type Facts, type MetricDefinition, type Reading } from './metric-definition.ts';

/** Isolated is open, by hand. */
const STATE_NUMBERS: Readonly<Record<CircuitState, number>> = { CLOSED: 0, OPEN: 1, ISOLATED: 1, HALF_OPEN: 2 };

function* calls({ circuits }: Facts): Iterable<Reading> {
  for (const { name, stats } of circuits) {
    const { successes, failures, timeouts, rejects, fallbacks } = stats;
    yield [successes, name, 'success'];
    yield [failures - timeouts, name, 'failure'];
    yield [timeouts, name, 'timeout'];
    yield [rejects, name, 'reject'];
    yield [fallbacks, name, 'fallback'];
  }
}

function* decisions({ telemetry }: Facts): Iterable<Reading> {
  for (const [policy, { allowed, refused, degraded }] of telemetry.policies) {
    yield [allowed, policy, 'allowed'];
    yield [refused, policy, 'refused'];
    yield [degraded, policy, 'degraded'];
  }
}

function* acquisitions({ telemetry }: Facts): Iterable<Reading> {
  for (const [lock, counts] of telemetry.locks) {
    for (const [outcome, count] of Object.entries(counts)) yield [count as number, lock, outcome];
  }
}

/** Breakers, limits, locks, and what is built on them. */
export const PROTECTION_METRICS: readonly MetricDefinition[] = [
  gauge(
    'circuit_breaker_state',
    '0 closed, 1 open, 2 half-open',
    ['breaker'],
    ({ circuits }) => circuits.map(({ name, state }) => [STATE_NUMBERS[state], name] as const),
    'max',
  ),
  counter(
    'circuit_breaker_calls',
    'Calls through breakers; fallbacks are counted beside',
    ['breaker', 'outcome'],
    calls,
  ),
  histogram('circuit_breaker_duration', 'How long calls through breakers took', ['breaker'], ({ circuits }) =>
    circuits.map(({ name, durations }) => [durations, name] as const),
  ),
  counter(
    'rate_limit_decisions',
    'Decisions; degraded ones are among the others, too',
    ['policy', 'decision'],
    decisions,
  ),
  counter('lock_acquire', 'What came of asking for locks', ['lock', 'outcome'], acquisitions),
  histogram('lock_wait', 'How long callers waited for locks', [], ({ telemetry }) => [[telemetry.lockWaits]]),
  histogram('lock_hold', 'How long locks were held', [], ({ telemetry }) => [[telemetry.lockHolds]]),
  gauge('active_locks', 'Locks that this process holds', [], ({ telemetry }) => [[telemetry.locksHeld]]),
  counter('idempotency', 'Requests with an idempotency key', ['outcome'], function* ({ telemetry }) {
    for (const [outcome, { n }] of telemetry.idempotency) yield [n, outcome];
  }),
  counter('gateway_requests', 'Forwarded requests', ['upstream', 'code'], function* ({ telemetry }) {
    for (const [upstream, codes] of telemetry.upstreams) for (const [code, { n }] of codes) yield [n, upstream, code];
  }),
];
