import type { CacheMetrics } from '../cache/cache-metrics.ts';
import type { CacheStatsReader } from '../cache/cache-stats.ts';
import type { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { Histogram } from '../common/histogram.ts';
import type { Telemetry } from '../common/telemetry.ts';
import type { Circuit, Facts } from './metric-definition.ts';

/** Breakers over this number are left out: their names were meant to come from a closed set. */
const MAX_CIRCUITS = 100;
/** One scrape reads many metrics: they all show the same moment. */
const MOMENT_MS = 100;

export interface FactsParts {
  readonly cache: CacheMetrics;
  readonly stats: CacheStatsReader;
  readonly telemetry: Telemetry;
  readonly circuits: CircuitBreakerService;
}

/** Reads what the metrics of one application show. Waits for the server no longer than its operation deadline. */
export class FactsSource {
  #last: { readonly atMs: number; readonly facts: Promise<Facts> } | undefined;

  constructor(private readonly parts: FactsParts) {}

  facts(): Promise<Facts> {
    const atMs = performance.now();
    if (this.#last === undefined || atMs - this.#last.atMs > MOMENT_MS) this.#last = { atMs, facts: this.read() };
    return this.#last.facts;
  }

  private async read(): Promise<Facts> {
    const { cache, stats, telemetry } = this.parts;
    return {
      cache,
      telemetry,
      local: stats.local(),
      server: await stats.server(),
      circuits: this.circuits(),
    };
  }

  private circuits(): Circuit[] {
    const { circuits } = this.parts;
    const all = Object.values(circuits.getStats()).slice(0, MAX_CIRCUITS);
    return all.map((stats) => ({ ...stats, durations: circuits.durationsOf(stats.name) ?? new Histogram() }));
  }
}
