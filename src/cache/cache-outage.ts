import type { CacheLocal } from './cache-local.ts';
import type { CacheRecovery } from './cache-recovery.ts';

/** What the cache does when the server goes away, and when it is back. */
export class CacheOutage {
  /** In milliseconds since the epoch; null while the server answers. */
  degradedSince: number | null = null;

  constructor(
    private readonly local: CacheLocal,
    private readonly recovery: CacheRecovery,
  ) {}

  /** From now on this process serves what it makes itself. */
  begin(): void {
    this.degradedSince ??= Date.now();
    this.local.goAlone();
  }

  /**
   * First nothing that was made meanwhile is served any more, then the server is told what it has missed, and only
   * then it is trusted again.
   * @throws StoreUnavailableError, OutcomeUnknownError: the outage goes on
   */
  async end({ hasLostData }: { readonly hasLostData: boolean }): Promise<void> {
    this.local.rejoin();
    try {
      await this.recovery.recover({ everything: hasLostData });
      this.degradedSince = null;
    } catch (error) {
      this.begin();
      throw error;
    }
  }
}
