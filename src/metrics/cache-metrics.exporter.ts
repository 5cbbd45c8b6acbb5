import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Counter, Gauge, Histogram } from 'prom-client';
import type { LeveledLogger } from '../common/leveled-logger.ts';
import type { FactsSource } from './facts.source.ts';
import type { MetricDefinition } from './metric-definition.ts';
import { linesOf } from './metric-readings.ts';
import { METRICS } from './metrics.ts';
import type { ResolvedMetricsOptions } from './metrics.options.ts';

type Prometheus = typeof import('@willsoto/nestjs-prometheus');
type Metric = Counter | Gauge | Histogram;

/** Prometheus keeps one metric per name and process; several applications of a process are merged in it. */
const SOURCES = Symbol.for('nestjs-keep:metric-sources');
type SharedMetric = Metric & { [SOURCES]?: Set<FactsSource> | undefined };

/**
 * Offers the figures to Prometheus through @willsoto/nestjs-prometheus, where that is installed. They are read when
 * they are scraped, so counting costs nothing more than the integers it is done in. The application exposes them:
 * it imports `PrometheusModule` itself.
 */
@Injectable()
export class CacheMetricsExporter implements OnModuleInit, OnApplicationShutdown {
  private metrics: readonly SharedMetric[] = [];

  constructor(
    private readonly source: FactsSource,
    private readonly options: ResolvedMetricsOptions,
    private readonly logger: LeveledLogger,
  ) {}

  async onModuleInit(): Promise<void> {
    const prometheus = this.options.enabled ? await this.load() : undefined;
    if (prometheus === undefined) return;
    this.metrics = METRICS.map((definition) => this.register(definition, prometheus));
  }

  onApplicationShutdown(): void {
    for (const metric of this.metrics) metric[SOURCES]?.delete(this.source);
  }

  /** Without the two optional peers the figures stay in `getMetrics()` and `getStats()`. */
  private async load(): Promise<Prometheus | undefined> {
    try {
      return await import('@willsoto/nestjs-prometheus');
    } catch {
      this.logger.debug('No Prometheus metrics: npm install @willsoto/nestjs-prometheus prom-client');
      return undefined;
    }
  }

  private register(definition: MetricDefinition, prometheus: Prometheus): SharedMetric {
    const { help, kind, labels } = definition;
    const name = this.options.prefix + definition.name;
    const { useFactory } = makerOf(kind, prometheus)({ name, help, labelNames: [...labels] }) as {
      useFactory: () => SharedMetric;
    };
    const metric = useFactory();
    if (metric[SOURCES] === undefined) readLazily(metric, definition, name);
    (metric[SOURCES] ??= new Set()).add(this.source);
    return metric;
  }
}

function makerOf(kind: MetricDefinition['kind'], prometheus: Prometheus) {
  switch (kind) {
    case 'Counter':
      return prometheus.makeCounterProvider;
    case 'Gauge':
      return prometheus.makeGaugeProvider;
    case 'Histogram':
      return prometheus.makeHistogramProvider;
    default:
      return kind satisfies never;
  }
}

/** Replaces what the metric would have added up itself by what the applications say when it is read. */
function readLazily(metric: SharedMetric, definition: MetricDefinition, name: string): void {
  const get = async () => {
    const all = await Promise.all([...(metric[SOURCES] ?? [])].map((source) => source.facts()));
    const { help } = definition;
    return {
      name,
      help,
      type: definition.kind.toLowerCase(),
      values: linesOf(definition, name, all),
      aggregator: 'sum',
    };
  };
  Object.assign(metric, { get, getForPromString: get });
}
