import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Counter, Gauge } from 'prom-client';
import type { CacheService } from '../cache/cache.service.ts';
import type { LeveledLogger } from '../common/leveled-logger.ts';
import { METRICS, type MetricDefinition } from './cache-metrics.definitions.ts';

type Prometheus = typeof import('@willsoto/nestjs-prometheus');
type Metric = Counter | Gauge;

/** Prometheus keeps one metric per name and process; several applications of a process add up in it. */
const SOURCES = Symbol.for('nestjs-keep:metric-sources');
type SharedMetric = Metric & { [SOURCES]?: Set<CacheService> | undefined };

/**
 * Offers the counters to Prometheus through @willsoto/nestjs-prometheus, where that is installed. They are read when
 * they are scraped, so counting costs nothing more than the integers it is done in. The application exposes them:
 * it imports `PrometheusModule` itself.
 */
@Injectable()
export class CacheMetricsExporter implements OnModuleInit, OnApplicationShutdown {
  private metrics: readonly SharedMetric[] = [];

  constructor(
    private readonly cache: CacheService,
    private readonly isEnabled: boolean,
    private readonly logger: LeveledLogger,
  ) {}

  async onModuleInit(): Promise<void> {
    const prometheus = this.isEnabled ? await this.load() : undefined;
    if (prometheus === undefined) return;
    this.metrics = METRICS.map((definition) => this.register(definition, prometheus));
  }

  onApplicationShutdown(): void {
    for (const metric of this.metrics) metric[SOURCES]?.delete(this.cache);
  }

  /** Without the two optional peers the figures stay in `getMetrics()`. */
  private async load(): Promise<Prometheus | undefined> {
    try {
      return await import('@willsoto/nestjs-prometheus');
    } catch {
      this.logger.debug('No Prometheus metrics: npm install @willsoto/nestjs-prometheus prom-client');
      return undefined;
    }
  }

  private register(definition: MetricDefinition, prometheus: Prometheus): SharedMetric {
    const { name, help, kind, labels = {} } = definition;
    const make = kind === 'Counter' ? prometheus.makeCounterProvider : prometheus.makeGaugeProvider;
    const { useFactory } = make({ name, help, labelNames: Object.keys(labels), collect: collectorOf(definition) }) as {
      useFactory: () => SharedMetric;
    };
    const metric = useFactory();
    (metric[SOURCES] ??= new Set()).add(this.cache);
    return metric;
  }
}

/** Sets a metric to the sum over the applications that share it. */
function collectorOf({ labels = {}, read }: MetricDefinition) {
  return function (this: SharedMetric): void {
    let sum = 0;
    for (const cache of this[SOURCES] ?? []) sum += read(cache.getMetrics(), cache.getLocalStats());
    this.reset();
    this.inc(labels, sum);
  };
}
