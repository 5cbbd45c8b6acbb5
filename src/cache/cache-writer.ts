import { isStoreFailure } from '../common/errors.ts';
import { globMatcher } from '../common/glob.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { Encoded } from '../common/codec.ts';
import { chunksOf } from './cache-batch.ts';
import type { CacheEntry, Stamps } from './cache-entry.ts';
import type { CacheJournal, InvalidationMode } from './cache-journal.ts';
import { lifetime, type CacheKeeper } from './cache-keeper.ts';
import { copyOf } from './cache-reader.ts';
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
  /** How many keys one command is about at most. */
  readonly batchSize: number;
}

/** One change: how this process forgets, how the server is told, and what to remember when it could not be. */
interface Change<R> {
  /** Where it happens; undefined while that is not known. */
  readonly shard: Shard | undefined;
  readonly forget: () => void;
  readonly act: () => Promise<R>;
  readonly journal: () => void;
  /** The answer while the server is away. */
  readonly away: () => R;
}

/** What is done in several steps on one shard. */
interface Batches {
  readonly names: readonly string[];
  readonly shard: Shard | undefined;
  readonly batchSize: number;
}

/** @param away to be told when the shard did not answer: it is undefined for the batches that follow */
type BatchAct<R> = (batch: readonly string[], shard: Shard | undefined, away: () => void) => Promise<R>;

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
  set(items: readonly Item[], stampNames: readonly string[], options: ResolvedReadOptions): Promise<void> {
    const keys: string[] = [];
    const ready: Ready[] = [];
    for (const item of items) {
      keys.push(item.key);
      const encoded = this.encodedOf(item, options);
      if (encoded !== undefined) ready.push({ encoded, ...item });
    }
    this.parts.local.forget(keys);
    const writes = { keys, ready, stampNames, options };
    if (keys.length <= this.parts.batchSize) return this.turn.add(writes);
    this.turn.flush();
    return this.store(writes, this.parts.batchSize);
  }

  private async store(writes: Writes, batchSize = Infinity): Promise<void> {
    await this.perShard(writes.keys, this.shardOf, (own, shard) => {
      const storeBatch: BatchAct<void> = (batch, reachable, away) =>
        this.storeOn(reachable, partOf(writes, batch), away);
      return this.inBatches({ names: own, shard, batchSize }, storeBatch);
    });
  }

  private async storeOn(shard: Shard | undefined, all: Writes, away: () => void): Promise<void> {
    const { local, journal, tags } = this.parts;
    const { keys, options } = all;
    const writes = { ...all, stampNames: tags.placed(keys[0] ?? '', all.stampNames) };
    // Forgotten before, too: when it was asked for.
    const stamps = await this.change({
      shard,
      forget: () => local.forget(keys),
      act: () => (options.tier === 'l1' ? this.drop(writes) : this.write(writes)),
      journal: () => journal.addKeys(keys),
      away: () => {
        away();
        return undefined;
      },
    });
    if (stamps === undefined && shard?.isAvailable === true) return;
    for (const item of writes.ready) this.hold(item, stamps, options);
  }

  /** How many of the keys there were. */
  async del(keys: readonly string[]): Promise<number> {
    const { store, local, journal, notices, metrics, batchSize } = this.parts;
    const counts = await this.perShard(keys, this.shardOf, (names, shard) =>
      this.inBatches({ names, shard, batchSize }, (own, reachable, away) =>
        this.invalidate({
          shard: reachable,
          forget: () => local.forget(own),
          act: () => notices.send({ keys: own }, (notice) => store.del(own, notice)),
          journal: () => journal.addKeys(own),
          away: () => {
            away();
            return 0;
          },
        }),
      ),
    );
    const removed = sum(counts.flat());
    metrics.deletes += removed;
    metrics.invalidated.key += keys.length;
    return removed;
  }

  /** How many keys the full glob matched; of those whose server is away, how many this process held. */
  async delPattern(pattern: string): Promise<number> {
    const { store, local, journal, notices, metrics } = this.parts;
    const matches = globMatcher(pattern);
    const done: Shard[] = [];
    const held: Promise<number>[] = [];
    let removed = 0;
    const removeOn = async (shard: Shard, notice: string): Promise<void> => {
      const count = await store.delPattern(pattern, notice, shard);
      removed += count;
      done.push(shard);
    };
    await this.invalidate({
      shard: store.shards.find(({ isAvailable }) => isAvailable),
      forget: () => held.push(local.forgetMatching(matches)),
      act: () => notices.send({ pattern }, (notice) => allOf(store.shards.map((shard) => removeOn(shard, notice)))),
      journal: () => journal.addPattern(pattern, done),
      away: () => undefined,
    });
    if (removed === 0 && done.length < store.shards.length) removed = sum(await Promise.all(held));
    metrics.deletes += removed;
    metrics.invalidated.pattern++;
    return removed;
  }

  /** Invalidates what carries these tags or epochs: gone, or stale but kept for grace. */
  async bump(stampNames: readonly string[], mode: InvalidationMode): Promise<void> {
    const { tags, local, journal, notices, metrics } = this.parts;
    const shardOf = (name: string): Shard | undefined => tags.shardOf(name);
    await this.perShard(tags.everywhere(stampNames), shardOf, (own, shard) =>
      this.invalidate({
        shard,
        forget: () => local.forgetStamps(own),
        act: () => notices.send({ stamps: own }, (notice) => tags.bump(own, mode, notice)),
        journal: () => journal.addStamps(own, mode),
        away: () => undefined,
      }),
    );
    metrics.invalidations += stampNames.length;
    for (const name of stampNames) metrics.invalidated[isEpoch(name) ? 'namespace' : 'tag']++;
  }

  /** Gives a key of any type a new time to live; false when there is none, or the server is away. */
  async expire(key: string, ttlMs: number): Promise<boolean> {
    const { store, local, journal, notices } = this.parts;
    const own = local.own(key);
    if (own !== undefined) return this.expireOwn(key, own, ttlMs);
    return this.invalidate({
      shard: this.shardOf(key),
      forget: () => local.forget([key]),
      act: () => notices.send({ keys: [key] }, (notice) => store.expire(key, ttlMs, notice)),
      journal: () => journal.addKeys([key]),
      away: () => false,
    });
  }

  /** Of what is held nowhere else nobody has to be told. */
  private expireOwn(key: string, own: CacheEntry, ttlMs: number): boolean {
    const freshUntilMs = this.parts.store.now() + ttlMs;
    const keptUntilMs = freshUntilMs + own.keptUntilMs - own.freshUntilMs;
    this.parts.local.holdOwn(key, { ...own, freshUntilMs, keptUntilMs }, copyOf(own).value);
    return true;
  }

  /** Makes values stale now, kept for their grace; how many there were. */
  async spoil(keys: readonly string[]): Promise<number> {
    const { store, local, journal, notices, metrics } = this.parts;
    const counts = await this.perShard(keys, this.shardOf, (own, shard) =>
      this.invalidate({
        shard,
        forget: () => local.forget(own),
        act: () => notices.send({ keys: own }, (notice) => store.spoil(own, notice)),
        journal: () => journal.addKeys(own),
        away: () => 0,
      }),
    );
    metrics.invalidated.key += keys.length;
    return sum(counts);
  }

  private readonly shardOf = (key: string): Shard | undefined => this.parts.store.shardOf(key);

  /** One change for each shard: what happens on one of them is no concern of the others. */
  private perShard<R>(
    names: readonly string[],
    shardOf: (name: string) => Shard | undefined,
    act: (own: readonly string[], shard: Shard | undefined) => Promise<R>,
  ): Promise<readonly R[]> {
    const { shards } = this.parts.store;
    if (shards.length === 1) return Promise.all([act(names, shards[0])]);
    const groups = new Map<Shard | undefined, string[]>();
    for (const name of names) {
      const shard = shardOf(name);
      const group = groups.get(shard);
      if (group === undefined) groups.set(shard, [name]);
      else group.push(name);
    }
    return Promise.all([...groups].map(([shard, own]) => act(own, shard)));
  }

  /** One after the other, so that the server is never busy for long; those after one that it did not answer wait for nothing. */
  private async inBatches<R>({ names, shard, batchSize }: Batches, act: BatchAct<R>): Promise<R[]> {
    const results: R[] = [];
    let reachable = shard;
    const away = (): void => (reachable = undefined);
    for (const batch of chunksOf(names, batchSize)) results.push(await act(batch, reachable, away));
    return results;
  }

  /** Of what is not to be kept, or cannot be for its size, nothing. */
  private encodedOf({ value }: Item, { ttlMs, cacheNull }: ResolvedReadOptions): Encoded | undefined {
    return ttlMs === 0 || (value === null && !cacheNull) ? undefined : this.parts.keeper.encode(value);
  }

  /** What is too large, or not to be kept at all, must not leave the value before it in place either. */
  private async write({ keys, ready, stampNames, options }: Writes): Promise<undefined> {
    const { store, notices, metrics } = this.parts;
    if (ready.length < keys.length) await this.dropOthers(keys, ready);
    if (ready.length === 0) return undefined;
    const times = lifetime(options.ttlMs, options);
    await this.stamped(stampNames, times.keepMs, (versions) => {
      const drafts = { ...times, stamps: stampsOf(stampNames, versions), entries: ready };
      return notices.send({ keys: ready.map(({ key }) => key) }, (notice) => store.write(drafts, notice));
    });
    metrics.sets += ready.length;
    return undefined;
  }

  private async dropOthers(keys: readonly string[], ready: readonly Ready[]): Promise<void> {
    const { store, notices } = this.parts;
    const written = new Set(ready.map(({ key }) => key));
    const dropped = keys.filter((key) => !written.has(key));
    if (dropped.length > 0) await notices.send({ keys: dropped }, (notice) => store.del(dropped, notice));
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
      local.holdOwn(key, entry, value);
      metrics.sets++;
    }
    local.holdAlone(key, entry, value, options.ttlMs);
  }

  /** What is being written was asked for before, so it goes first. */
  private invalidate<R>(change: Change<R>): Promise<R> {
    this.turn.flush();
    change.forget();
    return this.change(change);
  }

  private async change<R>({ shard, forget, act, journal, away }: Change<R>): Promise<R> {
    try {
      // Not even tried: a notice that is numbered and never sent would look like a gap to other processes.
      if (shard?.isAvailable === true) return await act();
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
    } finally {
      forget();
    }
    this.parts.metrics.errors++;
    journal();
    this.parts.recovery.wakeUp();
    return away();
  }
}

/** What is about some of the keys. */
function partOf(writes: Writes, keys: readonly string[]): Writes {
  if (keys.length === writes.keys.length) return writes;
  const own = new Set(keys);
  return { ...writes, keys, ready: writes.ready.filter(({ key }) => own.has(key)) };
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

/** Resolves when all have ended, also when one of them has failed. */
async function allOf(acts: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(acts);
  await Promise.all(acts);
}
