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
}

/**
 * Changes whose outcome on the server is failed or unknown. They are done again as deletions, never as writes, so that
 * no old value comes back; until then this process does not trust the server for what they touch.
 */
export class CacheJournal {
  private keys = new Set<string>();
  private patterns = new Map<string, (key: string) => boolean>();
  private stamps = new Map<string, InvalidationMode>();
  private isOverflown = false;

  get size(): number {
    return this.keys.size + this.patterns.size + this.stamps.size + Number(this.isOverflown);
  }

  addKeys(keys: readonly string[]): void {
    for (const key of keys) this.keys.add(key);
    this.bound();
  }

  addPattern(pattern: string): void {
    this.patterns.set(pattern, globMatcher(pattern));
    this.bound();
  }

  addStamps(names: readonly string[], mode: InvalidationMode): void {
    for (const name of names) if (this.stamps.get(name) !== 'delete') this.stamps.set(name, mode);
    this.bound();
  }

  /** Whether what the server holds under this key may be what was invalidated. */
  covers(key: string): boolean {
    if (this.size === 0) return false;
    return this.isOverflown || this.keys.has(key) || [...this.patterns.values()].some((matches) => matches(key));
  }

  /** Whether an entry with these stamps may be one that was invalidated. */
  coversStamps(stamps: Stamps): boolean {
    return this.stamps.size > 0 && stamps.some(([name]) => this.stamps.has(name));
  }

  /** Everything at this moment; what comes later is not in it. */
  snapshot(): JournalEntries {
    const { keys, patterns, stamps, isOverflown } = this;
    return { keys: [...keys], patterns: [...patterns.keys()], stamps: new Map(stamps), isOverflown };
  }

  /** These were done. */
  settle({ keys, patterns, stamps, isOverflown }: JournalEntries): void {
    for (const key of keys) this.keys.delete(key);
    for (const pattern of patterns) this.patterns.delete(pattern);
    for (const [name, mode] of stamps) if (this.stamps.get(name) === mode) this.stamps.delete(name);
    if (isOverflown) this.isOverflown = false;
  }

  private bound(): void {
    const { keys, patterns, stamps } = this;
    if (keys.size <= MAX_KEYS && patterns.size <= MAX_PATTERNS && stamps.size <= MAX_STAMPS) return;
    this.keys = new Set();
    this.patterns = new Map();
    this.stamps = new Map();
    this.isOverflown = true;
  }
}
