import type { Shard } from '../redis/availability.types.ts';
import type { CacheLocal } from './cache-local.ts';
import type { CacheRecovery } from './cache-recovery.ts';

/** What the cache does when a shard goes away, and when it is back: the whole server, where it is one. */
export class CacheOutage {
  /** Since when each is away, in milliseconds since the epoch. */
  private readonly away = new Map<Shard, number>();

  constructor(
    private readonly local: CacheLocal,
    private readonly recovery: CacheRecovery,
    private readonly shards: () => readonly Shard[],
  ) {}

  /** In milliseconds since the epoch; null while every shard answers. */
  get degradedSince(): number | null {
    const times = this.shards().flatMap((shard) => this.away.get(shard) ?? []);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** From now on this process serves what it makes itself, as far as the keys of this shard go. */
  begin(shard: Shard): void {
    // Some may have left the cluster without ever coming back.
    for (const gone of this.away.keys()) if (!this.shards().includes(gone)) this.away.delete(gone);
    if (!this.away.has(shard)) this.away.set(shard, Date.now());
    this.local.goAlone(shard);
  }

  /**
   * First nothing that was made meanwhile is served any more, then the shard is told what it has missed, and only then
   * it is trusted again.
   * @throws StoreUnavailableError, OutcomeUnknownError: the outage goes on
   */
  async end({ shard, hasLostData }: { readonly shard: Shard; readonly hasLostData: boolean }): Promise<void> {
    this.local.rejoin(shard);
    try {
      await this.recovery.recover({ shard, everything: hasLostData });
      this.away.delete(shard);
    } catch (error) {
      this.begin(shard);
      throw error;
    }
  }
}
