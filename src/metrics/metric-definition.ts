import type { CacheMetrics } from '../cache/cache-metrics.ts';
import type { LocalStats, ServerStats } from '../cache/cache-stats.ts';
import type { CircuitBreakerStats } from '../circuit-breaker/circuit.stats.ts';
import type { Histogram } from '../common/histogram.ts';
import type { Telemetry } from '../common/telemetry.ts';

/** Everything that the metrics of one application are read from, at one moment. */
export interface Facts {
  readonly cache: CacheMetrics;
  readonly telemetry: Telemetry;
  readonly local: LocalStats;
  /** Null without a server that answers. */
  readonly server: ServerStats | null;
  readonly circuits: readonly Circuit[];
}

export interface Circuit extends CircuitBreakerStats {
  readonly durations: Histogram;
}

/** One series: the values of its labels in the order of the definition, and what it shows now. */
export type Reading<V = number> = readonly [value: V, ...labels: string[]];

interface Named {
  /** Without the prefix. */
  readonly name: string;
  readonly help: string;
  /** Their values come from closed sets, never from keys, users or addresses. */
  readonly labels: readonly string[];
}

/** Several applications in one process share a metric. */
export type Merge = 'sum' | 'max' | 'min' | 'mean';

export interface NumberDefinition extends Named {
  readonly kind: 'Counter' | 'Gauge';
  readonly merge: Merge;
  readonly read: (facts: Facts) => Iterable<Reading>;
}

/** Recorded in milliseconds, shown in seconds. */
export interface HistogramDefinition extends Named {
  readonly kind: 'Histogram';
  readonly read: (facts: Facts) => Iterable<Reading<Histogram>>;
}

export type MetricDefinition = NumberDefinition | HistogramDefinition;

export const counter = (
  name: string,
  help: string,
  labels: readonly string[],
  read: NumberDefinition['read'],
): NumberDefinition => ({ name: `${name}_total`, help, kind: 'Counter', labels, read, merge: 'sum' });

export const gauge = (
  name: string,
  help: string,
  labels: readonly string[],
  read: NumberDefinition['read'],
  merge: Merge = 'sum',
): NumberDefinition => ({ name, help, kind: 'Gauge', labels, read, merge });

export const histogram = (
  name: string,
  help: string,
  labels: readonly string[],
  read: HistogramDefinition['read'],
): HistogramDefinition => ({ name: `${name}_seconds`, help, kind: 'Histogram', labels, read });
