import { isStoreFailure } from '../common/errors.ts';
import { globMatcher } from '../common/glob.ts';
import type { EntryDraft, Stamps } from './cache-entry.ts';
import type { CacheJournal, InvalidationMode } from './cache-journal.ts';
import { lifetime, type CacheKeeper } from './cache-keeper.ts';
import type { CacheLocal } from './cache-local.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import type { CacheRecovery } from './cache-recovery.ts';
import type { CacheStore } from './cache-store.interface.ts';
import { WriteTurn, type Item, type Ready, type Writes } from './cache-write-turn.ts';
import type { Notices } from './cache-notices.ts';
import { isEpoch, stampsOf, type CacheTags, type Versions } from './cache-tags.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

export interface CacheWriterParts {
  readonly store: CacheStore;
  readonly tags: CacheTags;
  readonly keeper: CacheKeeper;
  readonly local: CacheLocal;
  readonly journal: CacheJournal;
  readonly recovery: CacheRecovery;
  readonly notices: Notices;
  readonly metrics: CacheMetrics;
}

/** One change: how this process forgets, how the server is told, and what to remember when it could not be. */
interface Change<R> {
  readonly forget: () => void;
  readonly act: () => Promise<R>;
  readonly journal: () => void;
  /** The answer while the server is away. */
  readonly away: () => R;
}

const NO_VERSIONS: Versions = new Map();

/**
 * Writes and invalidations. Each one makes this process forget before *and* after the server is told: a read that
 * begins in between may still see the old value, and nobody may join that one either. A change whose outcome is failed
 * or unknown takes effect here and goes to the journal.
 */
export class CacheWriter {
  private readonly turn = new WriteTurn((writes) => this.store(writes));

  constructor(private readonly parts: CacheWriterParts) {}

  /**
   * Serialises at once: the caller may change its value as soon as it has called.
   * @throws SerializationError before anything is written, when one of the values cannot be stored
   */
  async set(items: readonly Item[], stampNames: readonly string[], options: ResolvedReadOptions): Promise<void> {
    const keys = items.map(({ key }) => key);
    const ready = options.ttlMs === 0 ? [] : items.flatMap((item) => this.readyOf(item, options));
    this.parts.local.forget(keys);
    await this.turn.add({ keys, ready, stampNames, options });
  }

  private async store(writes: Writes): Promise<void> {
    const { local, journal } = this.parts;
    const { keys, options } = writes;
    const stamps = await this.change({
      forget: () => local.forget(keys),
      act: () => (options.tier === 'l1' ? this.drop(writes) : this.write(writes)),
      journal: () => journal.addKeys(keys),
      away: () => undefined,
    });
    for (const item of writes.ready) this.hold(item, stamps, options);
  }

  /** How many of the keys there were. */
  async del(keys: readonly string[]): Promise<number> {
    const { store, local, journal, notices, metrics } = this.parts;
    const removed = await this.change({
      forget: () => local.forget(keys),
      act: () => notices.send({ keys }, (notice) => store.del(keys, notice)),
      journal: () => journal.addKeys(keys),
      away: () => 0,
    });
    metrics.deletes += removed;
    metrics.invalidated.key += keys.length;
    return removed;
  }

  /** How many keys the full glob matched; while the server is away, how many of them this process held. */
  async delPattern(pattern: string): Promise<number> {
    const { store, local, journal, notices, metrics } = this.parts;
    const matches = globMatcher(pattern);
    let held = 0;
    const removed = await this.change({
      forget: () => (held += local.forgetMatching(matches)),
      act: () => notices.send({ pattern }, (notice) => store.delPattern(pattern, notice)),
      journal: () => journal.addPattern(pattern),
      away: () => held,
    });
    metrics.deletes += removed;
    metrics.invalidated.pattern++;
    return removed;
  }

  /** Invalidates what carries these tags or epochs: gone, or stale but kept for grace. */
  async bump(stampNames: readonly string[], mode: InvalidationMode): Promise<void> {
    const { tags, local, journal, notices, metrics } = this.parts;
    await this.change({
      forget: () => local.forgetStamps(stampNames),
      act: () => notices.send({ stamps: stampNames }, (notice) => tags.bump(stampNames, mode, notice)),
      journal: () => journal.addStamps(stampNames, mode),
      away: () => undefined,
    });
    metrics.invalidations += stampNames.length;
    for (const name of stampNames) metrics.invalidated[isEpoch(name) ? 'namespace' : 'tag']++;
  }

  /** Gives a key of any type a new time to live; false when there is none, or the server is away. */
  async expire(key: string, ttlMs: number): Promise<boolean> {
    const { store, local, journal, notices } = this.parts;
    return this.change({
      forget: () => local.forget([key]),
      act: () => notices.send({ keys: [key] }, (notice) => store.expire(key, ttlMs, notice)),
      journal: () => journal.addKeys([key]),
      away: () => false,
    });
  }

  /** What is not to be kept, or cannot be for its size, is nothing. */
  private readyOf(item: Item, { cacheNull }: ResolvedReadOptions): Ready[] {
    if (item.value === null && !cacheNull) return [];
    const encoded = this.parts.keeper.encode(item.value);
    return encoded === undefined ? [] : [{ encoded, ...item }];
  }

  /** What is too large, or not to be kept at all, must not leave the value before it in place either. */
  private async write({ keys, ready, stampNames, options }: Writes): Promise<undefined> {
    const { store, notices, metrics } = this.parts;
    const written = new Set(ready.map(({ key }) => key));
    const dropped = keys.filter((key) => !written.has(key));
    if (dropped.length > 0) await notices.send({ keys: dropped }, (notice) => store.del(dropped, notice));
    if (ready.length === 0) return undefined;
    const times = lifetime(options.ttlMs, options);
    await this.stamped(stampNames, times.keepMs, (versions) => {
      const stamps = stampsOf(stampNames, versions);
      const draftOf = ({ encoded }: Ready): EntryDraft => ({ costMs: 0, stamps, ...times, ...encoded });
      const entries = ready.map((item) => [item.key, draftOf(item)] as const);
      return notices.send({ keys: [...written] }, (notice) => store.write(entries, notice));
    });
    metrics.sets += ready.length;
    return undefined;
  }

  /** For values that are kept in this process only: elsewhere there is nothing then. The stamps they will carry. */
  private async drop({ keys, stampNames, options }: Writes): Promise<Stamps | undefined> {
    const { store, tags, notices } = this.parts;
    const { moment } = tags;
    const [versions] = await Promise.all([
      tags.capture(stampNames, NO_VERSIONS, lifetime(options.ttlMs, options).keepMs),
      notices.send({ keys }, (notice) => store.del(keys, notice)),
    ]);
    // What was invalidated meanwhile may be this very value.
    return moment === tags.moment ? stampsOf(stampNames, versions) : undefined;
  }

  /**
   * Writes with the versions last seen while reading the current ones, so that a write is one trip; if they had
   * changed, what was written is invalid already and is written again.
   */
  private async stamped(
    names: readonly string[],
    keepMs: number,
    write: (versions: Versions) => Promise<void>,
  ): Promise<void> {
    const { tags } = this.parts;
    const guess = tags.lastingOf(names, keepMs);
    if (guess !== undefined) {
      const [current] = await Promise.all([tags.current(names), write(guess)]);
      if (names.every((name) => current.get(name) === guess.get(name))) return;
    }
    await write(await tags.capture(names, NO_VERSIONS, keepMs));
  }

  /** What is kept in this process only. While the server is away it also reads what it has set. */
  private hold({ key, value, encoded }: Ready, stamps: Stamps | undefined, options: ResolvedReadOptions): void {
    const { local, keeper, metrics } = this.parts;
    const times = lifetime(options.ttlMs, options);
    const entry = keeper.entryOf({ costMs: 0, stamps: stamps ?? [], ...times, ...encoded });
    if (stamps !== undefined) {
      local.hold(key, entry, value);
      metrics.sets++;
    }
    local.holdAlone(key, entry, value, options.ttlMs);
  }

  private async change<R>({ forget, act, journal, away }: Change<R>): Promise<R> {
    this.turn.flush();
    forget();
    try {
      return await act();
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      this.parts.metrics.errors++;
      journal();
      this.parts.recovery.wakeUp();
      return away();
    } finally {
      forget();
    }
  }
}
