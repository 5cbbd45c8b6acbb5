import { globMatcher } from '../common/glob.ts';
import type { Stamps } from './cache-entry.ts';

/** More keys than this, and forgetting everything is cheaper than remembering each. */
const MAX_KEYS = 10_000;
const MAX_PATTERNS = 100;
const MAX_STAMPS = 10_000;

export type InvalidationMode = 'delete' | 'expire';

/** What has to be done again on the server. */
export interface JournalEntries {
  readonly keys: readonly string[];
  readonly patterns: readonly string[];
  readonly stamps: ReadonlyMap<string, InvalidationMode>;
  /** More than was remembered: everything has to be invalidated. */
  readonly isOverflown: boolean;
  /** The entries are those up to this one. */
  readonly upTo: number;
}

interface Stamp {
  readonly mode: InvalidationMode;
  readonly at: number;
}

interface Pattern {
  readonly matches: (key: string) => boolean;
  readonly at: number;
}

/**
 * Changes whose outcome on the server is failed or unknown. They are done again as deletions, never as writes, so that
 * no old value comes back; until then this process does not trust the server for what they touch.
 */
export class CacheJournal {
  /** Numbers the entries: one that is made again while the journal is replayed is not settled with the older one. */
  private last = 0;
  private readonly keys = new Map<string, number>();
  private readonly patterns = new Map<string, Pattern>();
  private readonly stamps = new Map<string, Stamp>();
  /** When there were last too many entries to remember; 0 = never. */
  private overflownAt = 0;

  get size(): number {
    return this.keys.size + this.patterns.size + this.stamps.size + Number(this.overflownAt > 0);
  }

  addKeys(keys: readonly string[]): void {
    this.last++;
    for (const key of keys) this.keys.set(key, this.last);
    this.bound();
  }

  addPattern(pattern: string): void {
    this.patterns.set(pattern, { matches: globMatcher(pattern), at: ++this.last });
    this.bound();
  }

  addStamps(names: readonly string[], mode: InvalidationMode): void {
    this.last++;
    for (const name of names) {
      const isDeleted = mode === 'delete' || this.stamps.get(name)?.mode === 'delete';
      this.stamps.set(name, { mode: isDeleted ? 'delete' : 'expire', at: this.last });
    }
    this.bound();
  }

  /** Whether what the server holds under this key may be what was invalidated. */
  covers(key: string): boolean {
    if (this.size === 0) return false;
    if (this.overflownAt > 0 || this.keys.has(key)) return true;
    for (const { matches } of this.patterns.values()) if (matches(key)) return true;
    return false;
  }

  /** Whether an entry with these stamps may be one that was invalidated. */
  coversStamps(stamps: Stamps): boolean {
    return this.stamps.size > 0 && stamps.some(([name]) => this.stamps.has(name));
  }

  /** Everything at this moment; what comes later is not in it. */
  snapshot(): JournalEntries {
    return {
      keys: [...this.keys.keys()],
      patterns: [...this.patterns.keys()],
      stamps: new Map([...this.stamps].map(([name, { mode }]) => [name, mode])),
      isOverflown: this.overflownAt > 0,
      upTo: this.last,
    };
  }

  /** What was in the snapshot is done. */
  settle({ upTo }: JournalEntries): void {
    for (const [key, at] of this.keys) if (at <= upTo) this.keys.delete(key);
    for (const [pattern, { at }] of this.patterns) if (at <= upTo) this.patterns.delete(pattern);
    for (const [name, { at }] of this.stamps) if (at <= upTo) this.stamps.delete(name);
    if (this.overflownAt <= upTo) this.overflownAt = 0;
  }

  private bound(): void {
    const { keys, patterns, stamps } = this;
    if (keys.size <= MAX_KEYS && patterns.size <= MAX_PATTERNS && stamps.size <= MAX_STAMPS) return;
    keys.clear();
    patterns.clear();
    stamps.clear();
    this.overflownAt = this.last;
  }
}
