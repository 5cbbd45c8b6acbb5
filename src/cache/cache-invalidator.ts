import { globMatcher } from '../common/glob.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { Change, ChangingParts } from './cache-changes.ts';
import type { CacheEntry } from './cache-entry.ts';
import type { InvalidationMode } from './cache-journal.ts';
import { copyOf } from './cache-reader.ts';
import { isEpoch } from './cache-tags.ts';
import { HeldCounts } from './held-counts.ts';

export interface CacheInvalidatorParts extends ChangingParts {
  /** Has the writes begin that were asked for before. */
  readonly begun: () => void;
}

/**
 * Invalidations. Each one makes this process forget before *and* after the server is told: a read that begins in
 * between may still see the old value, and nobody may join that one either.
 */
export class CacheInvalidator {
  constructor(private readonly parts: CacheInvalidatorParts) {}

  /** How many of the keys there were. */
  async del(keys: readonly string[]): Promise<number> {
    const { store, local, journal, notices, metrics, batchSize, changes } = this.parts;
    const counts = await changes.perShard(keys, changes.shardOf, (names, shard) =>
      changes.inBatches({ names, shard, batchSize }, (own, reachable, away) =>
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

  /**
   * How many keys the full glob matched: what was on the server, and what only this process held; where a shard is away,
   * what of its keys was held here.
   */
  async delPattern(pattern: string): Promise<number> {
    const { store, local, journal, notices, metrics } = this.parts;
    const matches = globMatcher(pattern);
    const done: Shard[] = [];
    const held = new HeldCounts((key) => store.shardOf(key));
    const sweeps: Promise<void>[] = [];
    let removed = 0;
    const removeOn = async (shard: Shard, notice: string): Promise<void> => {
      const count = await store.delPattern(pattern, notice, shard);
      removed += count;
      done.push(shard);
    };
    await this.invalidate({
      shard: store.shards.find(({ isAvailable }) => isAvailable),
      forget: () => sweeps.push(local.forgetMatching(matches, held.add)),
      act: () => notices.send({ pattern }, (notice) => allOf(store.shards.map((shard) => removeOn(shard, notice)))),
      journal: () => journal.addPattern(pattern, done),
      away: () => undefined,
    });
    await Promise.all(sweeps);
    removed += held.beside(done);
    metrics.deletes += removed;
    metrics.invalidated.pattern++;
    return removed;
  }

  /** Invalidates what carries these tags or epochs: gone, or stale but kept for grace. */
  async bump(stampNames: readonly string[], mode: InvalidationMode): Promise<void> {
    const { tags, local, journal, notices, metrics, changes } = this.parts;
    const shardOf = (name: string): Shard | undefined => tags.shardOf(name);
    await changes.perShard(tags.everywhere(stampNames), shardOf, (own, shard) =>
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
    const { store, local, journal, notices, changes } = this.parts;
    const own = local.own(key);
    if (own !== undefined) return this.expireOwn(key, own, ttlMs);
    return this.invalidate({
      shard: changes.shardOf(key),
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
    const { store, local, journal, notices, metrics, changes } = this.parts;
    const counts = await changes.perShard(keys, changes.shardOf, (own, shard) =>
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

  /** What is being written was asked for before, so it goes first. */
  private invalidate<R>(change: Change<R>): Promise<R> {
    this.parts.begun();
    change.forget();
    return this.parts.changes.make(change);
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

/** Resolves when all have ended, also when one of them has failed. */
async function allOf(acts: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(acts);
  await Promise.all(acts);
}
