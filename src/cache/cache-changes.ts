import { isStoreFailure } from '../common/errors.ts';
import type { Shard } from '../redis/availability.types.ts';
import { chunksOf } from './cache-batch.ts';
import type { CacheJournal } from './cache-journal.ts';
import type { CacheLocal } from './cache-local.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import type { Notices } from './cache-notices.ts';
import type { CacheRecovery } from './cache-recovery.ts';
import type { CacheStore } from './cache-store.interface.ts';
import type { CacheTags } from './cache-tags.ts';

/** One change: how this process forgets, how the server is told, and what to remember when it could not be. */
export interface Change<R> {
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
export type BatchAct<R> = (batch: readonly string[], shard: Shard | undefined, away: () => void) => Promise<R>;

export interface CacheChangesParts {
  readonly store: CacheStore;
  readonly recovery: CacheRecovery;
  readonly metrics: CacheMetrics;
}

/** What writes and invalidations are made with. */
export interface ChangingParts {
  readonly store: CacheStore;
  readonly tags: CacheTags;
  readonly local: CacheLocal;
  readonly journal: CacheJournal;
  readonly notices: Notices;
  readonly metrics: CacheMetrics;
  readonly changes: CacheChanges;
  /** How many keys one command is about at most. */
  readonly batchSize: number;
}

/** How the store is changed: shard by shard, and what a failure means. */
export class CacheChanges {
  constructor(private readonly parts: CacheChangesParts) {}

  /** A change whose outcome is failed or unknown takes effect here and goes to the journal. */
  async make<R>({ shard, forget, act, journal, away }: Change<R>): Promise<R> {
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

  readonly shardOf = (key: string): Shard | undefined => this.parts.store.shardOf(key);

  /** One change for each shard: what happens on one of them is no concern of the others. */
  perShard<R>(
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
  async inBatches<R>({ names, shard, batchSize }: Batches, act: BatchAct<R>): Promise<R[]> {
    const results: R[] = [];
    let reachable = shard;
    const away = (): void => (reachable = undefined);
    for (const batch of chunksOf(names, batchSize)) results.push(await act(batch, reachable, away));
    return results;
  }
}
