import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { Backend } from './cache.backends.ts';
import type { CacheEngine } from './cache/cache-engine.ts';
import type { CacheSync } from './cache/cache-sync.ts';
import { within } from './common/within.ts';
import type { LockKeeper } from './lock/lock-keeper.ts';

/** How long a shutdown waits for what is still being computed. */
const DRAIN_MS = 5_000;

/** Ends what the module has opened, in the order in which it is needed. */
@Injectable()
export class CacheLifecycle implements OnApplicationShutdown {
  constructor(
    private readonly backend: Backend,
    private readonly engine: CacheEngine,
    private readonly sync: CacheSync,
    private readonly locks: LockKeeper,
  ) {}

  /** Refreshes and work under locks may still end, within a bound; then connections and timers do. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all([within(this.engine.local.settled(), DRAIN_MS, undefined), this.locks.close(DRAIN_MS)]);
    this.engine.recovery.stop();
    this.engine.windows.stop();
    await this.sync.stop();
    await this.backend.close();
  }
}
