import { BoundedMap } from '../common/bounded-map.ts';
import { isStoreFailure } from '../common/errors.ts';
import type { CacheStore } from './cache-store.interface.ts';

const RETRY_MS = 250;
/** So many are ended at a time; what is beyond them ends by itself. */
const LIMITS = { maxEntries: 1_000, maxBytes: 1024 ** 2 };

interface Orphan {
  readonly token: string;
  readonly untilMs: number;
}

/**
 * Leases that the server may have although nobody computes: it was not heard when they were taken, or has not heard
 * that they were filled or given up. They are ended once it can be asked again: nobody, here or elsewhere, is to wait
 * until they end by themselves.
 */
export class OrphanedLeases {
  private readonly orphans = new BoundedMap<Orphan>(LIMITS);
  private timer: NodeJS.Timeout | undefined;

  /** @param leaseMs after which the server has ended a lease by itself */
  constructor(
    private readonly store: CacheStore,
    private readonly leaseMs: number,
  ) {}

  add(key: string, token: string): void {
    this.orphans.set(key, { token, untilMs: this.store.now() + this.leaseMs }, token.length);
    this.wakeUp();
  }

  /** Resolves when no lease is in the way of who claims this key. @throws StoreUnavailableError, OutcomeUnknownError */
  async end(key: string): Promise<void> {
    const orphan = this.orphans.peek(key);
    if (orphan === undefined) return;
    await this.store.abandon(key, orphan.token);
    if (this.orphans.peek(key) === orphan) this.orphans.delete(key);
  }

  private wakeUp(): void {
    this.timer ??= setTimeout(() => void this.endAll(), RETRY_MS).unref();
  }

  private async endAll(): Promise<void> {
    const now = this.store.now();
    const ends: Promise<void>[] = [];
    for (const [key, { untilMs }] of this.orphans) {
      if (untilMs <= now) this.orphans.delete(key);
      else if (this.store.shardOf(key)?.isAvailable === true) ends.push(this.end(key).catch(forgive));
    }
    await Promise.all(ends);
    this.timer = undefined;
    if (this.orphans.size > 0) this.wakeUp();
  }
}

/** It is tried again. */
function forgive(error: unknown): void {
  if (!isStoreFailure(error)) throw error;
}
