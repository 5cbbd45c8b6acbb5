import { Histogram } from '../common/histogram.ts';
import type {
  Facts,
  HistogramDefinition,
  Merge,
  MetricDefinition,
  NumberDefinition,
  Reading,
} from './metric-definition.ts';

/** One line of a scrape. */
export interface Line {
  readonly metricName?: string;
  readonly labels: Record<string, string | number>;
  readonly value: number;
}

/** What a metric shows for one or more applications; `name` with its prefix. */
export function linesOf(definition: MetricDefinition, name: string, all: readonly Facts[]): Line[] {
  if (definition.kind === 'Histogram') return histogramLines(definition, name, all);
  return numberLines(definition, all);
}

function numberLines({ labels, read, merge }: NumberDefinition, all: readonly Facts[]): Line[] {
  const series = grouped(all.flatMap((facts) => [...read(facts)]));
  return series.map(({ names, values }) => ({ labels: labelled(labels, names), value: MERGES[merge](values) }));
}

function histogramLines({ labels, read }: HistogramDefinition, name: string, all: readonly Facts[]): Line[] {
  return grouped(all.flatMap((facts) => [...read(facts)])).flatMap(({ names, values }) =>
    bucketLines(name, labelled(labels, names), values.reduce(added)),
  );
}

/** Cumulative buckets, in seconds, as Prometheus wants them. */
function bucketLines(name: string, labels: Record<string, string>, { boundsMs, counts, sumMs }: Histogram): Line[] {
  let total = 0;
  const buckets = counts.map((count, bucket) => {
    total += count;
    const bound = boundsMs[bucket];
    const le = bound === undefined ? '+Inf' : bound / 1_000;
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: total };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sumMs / 1_000 },
    { metricName: `${name}_count`, labels, value: total },
  ];
}

/** Readings with the same labels belong to one series. */
function grouped<V>(readings: readonly Reading<V>[]): { names: readonly string[]; values: V[] }[] {
  const series = new Map<string, { names: readonly string[]; values: V[] }>();
  for (const [value, ...names] of readings) {
    const id = JSON.stringify(names);
    const known = series.get(id);
    if (known === undefined) series.set(id, { names, values: [value] });
    else known.values.push(value);
  }
  return [...series.values()];
}

const labelled = (labels: readonly string[], names: readonly string[]): Record<string, string> =>
  Object.fromEntries(labels.map((label, index) => [label, names[index] ?? '']));

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

const MERGES: Readonly<Record<Merge, (values: readonly number[]) => number>> = {
  sum: total,
  max: (values) => Math.max(...values),
  min: (values) => Math.min(...values),
  mean: (values) => total(values) / values.length,
};

function added(one: Histogram, other: Histogram): Histogram {
  const both = new Histogram(one.boundsMs);
  both.sumMs = one.sumMs + other.sumMs;
  one.counts.forEach((count, bucket) => (both.counts[bucket] = count + (other.counts[bucket] ?? 0)));
  return both;
}
