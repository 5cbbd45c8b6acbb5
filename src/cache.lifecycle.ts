import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Backend } from './cache.backends.ts';
import type { CacheEngine } from './cache/cache-engine.ts';
import type { CacheSync } from './cache/cache-sync.ts';
import { within } from './common/within.ts';

/** How long a shutdown waits for what is still being computed. */
const DRAIN_MS = 5_000;

/** Work that may still end, `budgetMs` at most, before it is given up. */
interface Drained {
  close(budgetMs: number): Promise<void>;
}

/** Ends what the module has opened, in the order in which it is needed. */
@Injectable()
export class CacheLifecycle implements OnApplicationShutdown {
  constructor(
    private readonly backend: Backend,
    private readonly engine: CacheEngine,
    private readonly sync: CacheSync,
    private readonly works: readonly Drained[],
  ) {}

  /** Refreshes, work under locks and idempotent requests may still end, within a bound; then connections and timers do. */
  async onApplicationShutdown(): Promise<void> {
    const refreshed = within(this.engine.local.settled(), DRAIN_MS, undefined);
    await Promise.all([refreshed, ...this.works.map((work) => work.close(DRAIN_MS))]);
    this.engine.recovery.stop();
    this.engine.windows.stop();
    await this.sync.stop();
    await this.backend.close();
  }
}
