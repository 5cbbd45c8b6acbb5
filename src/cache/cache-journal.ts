import { globMatcher } from '../common/glob.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { Stamps } from './cache-entry.ts';

/** More keys than this, and forgetting everything is cheaper than remembering each. */
const MAX_KEYS = 10_000;
const MAX_PATTERNS = 100;
const MAX_STAMPS = 10_000;

export type InvalidationMode = 'delete' | 'expire';

/** Where keys and stamps live: a store, seen from the journal. */
export interface JournalShards {
  readonly all: () => readonly Shard[];
  readonly ofKey: (key: string) => Shard | undefined;
  readonly ofStamp: (name: string) => Shard | undefined;
}

/** What has to be done again on one shard. */
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

/** Something about keys of all shards. `done`: those it need not be done on any more. */
interface Wide {
  readonly at: number;
  readonly done: Set<Shard | undefined>;
}

interface Pattern extends Wide {
  readonly matches: (key: string) => boolean;
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
  /** There were too many entries to remember. */
  private overflow: Wide | undefined;

  constructor(private readonly shards: JournalShards) {}

  get size(): number {
    return this.keys.size + this.patterns.size + this.stamps.size + Number(this.overflow !== undefined);
  }

  addKeys(keys: readonly string[]): void {
    this.last++;
    for (const key of keys) this.keys.set(key, this.last);
    this.bound();
  }

  /** @param done the shards on which it has been done */
  addPattern(pattern: string, done: readonly Shard[] = []): void {
    this.patterns.set(pattern, { matches: globMatcher(pattern), at: ++this.last, done: new Set(done) });
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
    if (this.keys.has(key)) return true;
    const isOpen = ({ done }: Wide): boolean => done.size === 0 || !done.has(this.shards.ofKey(key));
    if (this.overflow !== undefined && isOpen(this.overflow)) return true;
    for (const pattern of this.patterns.values()) if (pattern.matches(key) && isOpen(pattern)) return true;
    return false;
  }

  /** Whether an entry with these stamps may be one that was invalidated. */
  coversStamps(stamps: Stamps): boolean {
    return this.stamps.size > 0 && stamps.some(([name]) => this.stamps.has(name));
  }

  /** Everything about a shard at this moment; what comes later is not in it. */
  snapshot(shard: Shard): JournalEntries {
    const { ofKey, ofStamp } = this.shards;
    const isOpen = ({ done }: Wide): boolean => !done.has(shard);
    return {
      keys: [...this.keys.keys()].filter((key) => ofKey(key) === shard),
      patterns: [...this.patterns].flatMap(([pattern, wide]) => (isOpen(wide) ? [pattern] : [])),
      stamps: new Map([...this.stamps].flatMap(([name, { mode }]) => (ofStamp(name) === shard ? [[name, mode]] : []))),
      isOverflown: this.overflow !== undefined && isOpen(this.overflow),
      upTo: this.last,
    };
  }

  /** What was in the snapshot is done. */
  settle({ keys, patterns, stamps, upTo }: JournalEntries, shard: Shard): void {
    const isOld = (at: number | undefined): boolean => at !== undefined && at <= upTo;
    for (const key of keys) if (isOld(this.keys.get(key))) this.keys.delete(key);
    for (const name of stamps.keys()) if (isOld(this.stamps.get(name)?.at)) this.stamps.delete(name);
    for (const name of patterns) if (this.isDone(this.patterns.get(name), upTo, shard)) this.patterns.delete(name);
    if (this.isDone(this.overflow, upTo, shard)) this.overflow = undefined;
  }

  /** Whether it is done on every shard, now that it is on this one. */
  private isDone(wide: Wide | undefined, upTo: number, shard: Shard): boolean {
    if (wide === undefined || wide.at > upTo) return false;
    wide.done.add(shard);
    return this.shards.all().every((each) => wide.done.has(each));
  }

  private bound(): void {
    const { keys, patterns, stamps } = this;
    if (keys.size <= MAX_KEYS && patterns.size <= MAX_PATTERNS && stamps.size <= MAX_STAMPS) return;
    this.overflow = { at: this.last, done: this.untouched() };
    keys.clear();
    patterns.clear();
    stamps.clear();
  }

  /** The shards that no entry is about. */
  private untouched(): Set<Shard | undefined> {
    const { all, ofKey, ofStamp } = this.shards;
    const touched = new Set<Shard | undefined>();
    for (const key of this.keys.keys()) touched.add(ofKey(key));
    for (const name of this.stamps.keys()) touched.add(ofStamp(name));
    const wide = [...this.patterns.values(), ...(this.overflow === undefined ? [] : [this.overflow])];
    return new Set(all().filter((shard) => !touched.has(shard) && wide.every(({ done }) => done.has(shard))));
  }
}
