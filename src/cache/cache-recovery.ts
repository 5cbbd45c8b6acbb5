import { isStoreFailure } from '../common/errors.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { CacheJournal, JournalEntries } from './cache-journal.ts';
import type { CacheStore } from './cache-store.interface.ts';
import type { Notices } from './cache-notices.ts';
import type { CacheTags } from './cache-tags.ts';

/** How soon a change that failed while the server is there is tried again. */
const RETRY_MS = 250;
const CHUNK = 500;

export interface CacheRecoveryParts {
  readonly store: CacheStore;
  /** The same store through a door that is open before the server is trusted again. */
  readonly recoveryStore: CacheStore;
  readonly tags: CacheTags;
  readonly journal: CacheJournal;
  readonly notices: Notices;
}

/** Does on the server what it has not seen, and tells the other processes, which may have kept what it should not be. */
export class CacheRecovery {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;

  constructor(private readonly parts: CacheRecoveryParts) {}

  /** Something was written to the journal: try soon, and again until it is empty. */
  wakeUp(): void {
    this.timer ??= setTimeout(() => void this.retry(), RETRY_MS).unref();
  }

  /**
   * Replays what the journal has about a shard before that is trusted again; with `everything`, because it may have lost
   * data, all that depends on it is invalidated first.
   * @throws StoreUnavailableError, OutcomeUnknownError: what was not done stays in the journal
   */
  async recover({ shard, everything }: { readonly shard: Shard; readonly everything: boolean }): Promise<void> {
    await this.running?.catch(() => undefined);
    await this.replay(this.parts.recoveryStore, shard, everything);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private async retry(): Promise<void> {
    this.timer = undefined;
    const { journal, store } = this.parts;
    try {
      if (journal.size > 0) await (this.running = this.replayReachable(store));
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
    } finally {
      this.running = undefined;
    }
    if (journal.size > 0) this.wakeUp();
  }

  private async replayReachable(store: CacheStore): Promise<void> {
    for (const shard of store.shards) if (shard.isAvailable) await this.replay(store, shard, false);
  }

  private async replay(store: CacheStore, shard: Shard, everything: boolean): Promise<void> {
    const { journal, tags } = this.parts;
    const entries = journal.snapshot(shard);
    if (everything || entries.isOverflown) await this.bump(store, tags.epochsOn(shard), 'delete');
    await this.replayEntries(store, shard, entries);
    journal.settle(entries, shard);
  }

  private async replayEntries(
    store: CacheStore,
    shard: Shard,
    { keys, patterns, stamps }: JournalEntries,
  ): Promise<void> {
    const { notices } = this.parts;
    for (const mode of ['delete', 'expire'] as const) {
      await this.bump(store, [...stamps].flatMap(([name, wanted]) => (wanted === mode ? [name] : [])), mode); // prettier-ignore
    }
    for (let at = 0; at < keys.length; at += CHUNK) {
      const chunk = keys.slice(at, at + CHUNK);
      await notices.send({ keys: chunk }, (notice) => store.del(chunk, notice));
    }
    for (const pattern of patterns) {
      await notices.send({ pattern }, (notice) => store.delPattern(pattern, notice, shard));
    }
  }

  private async bump(store: CacheStore, names: readonly string[], mode: 'delete' | 'expire'): Promise<void> {
    const { tags, notices } = this.parts;
    for (let at = 0; at < names.length; at += CHUNK) {
      const chunk = names.slice(at, at + CHUNK);
      await notices.send({ stamps: chunk }, (notice) => tags.bump(chunk, mode, notice, store));
    }
  }
}
