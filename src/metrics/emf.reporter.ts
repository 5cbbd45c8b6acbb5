import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { CacheStatsReader } from '../cache/cache-stats.ts';
import type { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';

interface Unit {
  readonly Name: string;
  readonly Unit: 'None' | 'Milliseconds';
}

const NAMESPACE = 'NestjsKeep';
const CACHE_UNITS: readonly Unit[] = [
  { Name: 'CacheHitRate', Unit: 'None' },
  { Name: 'CacheLatency', Unit: 'Milliseconds' },
];
const BREAKER_UNITS: readonly Unit[] = [{ Name: 'CircuitBreakerState', Unit: 'None' }];

export interface EmfParts {
  readonly stats: CacheStatsReader;
  readonly circuits: CircuitBreakerService;
  /** Dimension `Service`: the prefix of the keys. */
  readonly service: string;
  /** 0: never. */
  readonly everyMs: number;
  readonly write?: (line: string) => void;
}

/**
 * Prints figures in CloudWatch's embedded metric format, where that is wanted: from the log, CloudWatch makes metrics of
 * these lines.
 */
@Injectable()
export class EmfReporter implements OnModuleInit, OnApplicationShutdown {
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly parts: EmfParts) {}

  onModuleInit(): void {
    const { everyMs } = this.parts;
    if (everyMs > 0) this.#timer = setInterval(() => this.report(), everyMs).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#timer);
  }

  report(): void {
    const { stats, circuits, service: Service, write = toStandardOutput } = this.parts;
    const { hitRate, p99Ms } = stats.local().windows['1m'];
    write(lineOf(CACHE_UNITS, [['Service']], { Service, CacheHitRate: hitRate, CacheLatency: p99Ms }));
    for (const { name: Breaker, state } of Object.values(circuits.getStats()).slice(0, 100)) {
      const isOpen = state === 'OPEN' || state === 'ISOLATED';
      const CircuitBreakerState = isOpen ? 1 : 0;
      write(lineOf(BREAKER_UNITS, [['Service'], ['Service', 'Breaker']], { Service, Breaker, CircuitBreakerState }));
    }
  }
}

const toStandardOutput = (line: string): void => void process.stdout.write(`${line}\n`);

const lineOf = (metrics: readonly Unit[], dimensions: readonly string[][], values: object): string =>
  JSON.stringify({
    _aws: {
      Timestamp: Date.now(),
      CloudWatchMetrics: [{ Namespace: NAMESPACE, Dimensions: dimensions, Metrics: metrics }],
    },
    ...values,
  });
