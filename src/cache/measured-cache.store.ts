import type { Telemetry } from '../common/telemetry.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { EntryDraft, Found } from './cache-entry.ts';
import type {
  Acquisition,
  CacheStore,
  EntryDrafts,
  KeyDescription,
  LeaseRequest,
  Notice,
} from './cache-store.interface.ts';

/** A store whose trips are timed and whose failures are counted, by operation. */
export class MeasuredCacheStore implements CacheStore {
  constructor(
    private readonly store: CacheStore,
    private readonly telemetry: Telemetry,
  ) {}

  now(): number {
    return this.store.now();
  }

  get shards(): readonly Shard[] {
    return this.store.shards;
  }

  get places(): readonly string[] {
    return this.store.places;
  }

  shardOf(key: string): Shard | undefined {
    return this.store.shardOf(key);
  }

  /** Counted by `CacheReader`, which looks at the clock anyway. */
  read(key: string): Promise<Found> {
    return this.store.read(key);
  }

  versions(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.store.versions(keys);
  }

  capture(keys: readonly string[], keepMs: number): Promise<readonly string[]> {
    return this.store.capture(keys, keepMs);
  }

  acquire(key: string, request: LeaseRequest): Promise<Acquisition> {
    return this.measured('claim', this.store.acquire(key, request));
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.store.renew(key, token, leaseMs);
  }

  fill(key: string, token: string, draft: EntryDraft): Promise<boolean> {
    return this.measured('fill', this.store.fill(key, token, draft));
  }

  abandon(key: string, token: string, corrupt?: string): Promise<void> {
    return this.store.abandon(key, token, corrupt);
  }

  write(drafts: EntryDrafts, notice: Notice): Promise<void> {
    return this.measured('write', this.store.write(drafts, notice));
  }

  del(keys: readonly string[], notice: Notice): Promise<number> {
    return this.measured('delete', this.store.del(keys, notice));
  }

  delPattern(pattern: string, notice: Notice, shard?: Shard): Promise<number> {
    return this.measured('delete_pattern', this.store.delPattern(pattern, notice, shard));
  }

  bump(keys: readonly string[], mode: 'delete' | 'expire', notice: Notice): Promise<void> {
    return this.measured('invalidate', this.store.bump(keys, mode, notice));
  }

  describe(key: string): Promise<KeyDescription> {
    return this.measured('describe', this.store.describe(key));
  }

  expire(key: string, ttlMs: number, notice: Notice): Promise<boolean> {
    return this.measured('expire', this.store.expire(key, ttlMs, notice));
  }

  spoil(keys: readonly string[], notice: Notice): Promise<number> {
    return this.measured('spoil', this.store.spoil(keys, notice));
  }

  private measured<R>(operation: string, answer: Promise<R>): Promise<R> {
    const startedAt = performance.now();
    const counts = this.telemetry.operations.of(operation);
    return answer.then(
      (result) => {
        counts.ended(performance.now() - startedAt);
        return result;
      },
      (error: unknown) => {
        counts.ended(performance.now() - startedAt, error);
        throw error;
      },
    );
  }
}
