import { isStoreFailure } from '../common/errors.ts';
import type { CacheJournal, JournalEntries } from './cache-journal.ts';
import type { CacheStore } from './cache-store.interface.ts';
import type { Notices } from './cache-notices.ts';
import { epochStamp, type CacheTags } from './cache-tags.ts';

/** How soon a change that failed while the server is there is tried again. */
const RETRY_MS = 250;
const CHUNK = 500;

export interface CacheRecoveryParts {
  readonly store: CacheStore;
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
   * Replays the journal. With `everything`, because the server may have lost data, the whole cache is invalidated first.
   * @throws StoreUnavailableError, OutcomeUnknownError: what was not done stays in the journal
   */
  replay({ everything = false }: { everything?: boolean } = {}): Promise<void> {
    this.running ??= this.replayAll(everything).finally(() => (this.running = undefined));
    return this.running;
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private async retry(): Promise<void> {
    this.timer = undefined;
    const { journal } = this.parts;
    try {
      if (journal.size > 0) await this.replay();
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
    }
    if (journal.size > 0) this.wakeUp();
  }

  private async replayAll(everything: boolean): Promise<void> {
    const { journal } = this.parts;
    const entries = journal.snapshot();
    if (everything || entries.isOverflown) await this.bump([epochStamp('')], 'delete');
    await this.replayEntries(entries);
    journal.settle(entries);
  }

  private async replayEntries({ keys, patterns, stamps }: JournalEntries): Promise<void> {
    const { store, notices } = this.parts;
    for (const mode of ['delete', 'expire'] as const) {
      await this.bump([...stamps].flatMap(([name, wanted]) => (wanted === mode ? [name] : [])), mode); // prettier-ignore
    }
    for (let at = 0; at < keys.length; at += CHUNK) {
      const chunk = keys.slice(at, at + CHUNK);
      await notices.send({ keys: chunk }, (notice) => store.del(chunk, notice));
    }
    for (const pattern of patterns) {
      await notices.send({ pattern }, (notice) => store.delPattern(pattern, notice));
    }
  }

  private async bump(names: readonly string[], mode: 'delete' | 'expire'): Promise<void> {
    const { tags, notices } = this.parts;
    for (let at = 0; at < names.length; at += CHUNK) {
      const chunk = names.slice(at, at + CHUNK);
      await notices.send({ stamps: chunk }, (notice) => tags.bump(chunk, mode, notice));
    }
  }
}
