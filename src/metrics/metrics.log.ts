import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { CacheStatsReader } from '../cache/cache-stats.ts';
import { STATS_WINDOWS, type WindowStats } from '../cache/cache-windows.ts';
import type { LeveledLogger } from '../common/leveled-logger.ts';

/** Writes the figures of the windows into the log from time to time, where that is wanted. */
@Injectable()
export class MetricsLog implements OnModuleInit, OnApplicationShutdown {
  #timer: NodeJS.Timeout | undefined;

  /** @param everyMs 0: never */
  constructor(
    private readonly stats: CacheStatsReader,
    private readonly everyMs: number,
    private readonly logger: LeveledLogger,
  ) {}

  onModuleInit(): void {
    if (this.everyMs > 0) this.#timer = setInterval(() => this.write(), this.everyMs).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#timer);
  }

  private write(): void {
    const { mode, windows } = this.stats.local();
    const parts = STATS_WINDOWS.map((window) => `${window} ${shown(windows[window])}`);
    this.logger.log(`mode ${mode}; ${parts.join('; ')}`);
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

const shown = ({ hitRate, errorRate, throughput, p95Ms, p99Ms }: WindowStats): string =>
  `hits ${percent(hitRate)}, errors ${percent(errorRate)}, ${throughput}/s, p95 ${p95Ms} ms, p99 ${p99Ms} ms`;
