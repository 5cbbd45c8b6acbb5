import type { Encoded } from '../common/codec.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { BatchAct, ChangingParts } from './cache-changes.ts';
import type { Stamps } from './cache-entry.ts';
import { lifetime, type CacheKeeper } from './cache-keeper.ts';
import { WriteTurn, type Item, type Ready, type Writes } from './cache-write-turn.ts';
import { stampsOf, type Versions } from './cache-tags.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

export interface CacheWriterParts extends ChangingParts {
  readonly keeper: CacheKeeper;
}

const NO_VERSIONS: Versions = new Map();

/** Writes. Each one makes this process forget before *and* after the server is told, as an invalidation does. */
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

  /** Begins with what was asked for, so that whatever is asked for next comes after it. */
  flush(): void {
    this.turn.flush();
  }

  private async store(writes: Writes, batchSize = Infinity): Promise<void> {
    const { changes } = this.parts;
    await changes.perShard(writes.keys, changes.shardOf, (own, shard) => {
      const storeBatch: BatchAct<void> = (batch, reachable, away) =>
        this.storeOn(reachable, partOf(writes, batch), away);
      return changes.inBatches({ names: own, shard, batchSize }, storeBatch);
    });
  }

  private async storeOn(shard: Shard | undefined, all: Writes, away: () => void): Promise<void> {
    const { local, journal, tags, changes } = this.parts;
    const { keys, options } = all;
    const writes = { ...all, stampNames: tags.placed(keys[0] ?? '', all.stampNames) };
    // Forgotten before, too: when it was asked for.
    const stamps = await changes.make({
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
      const drafts = { stamps: stampsOf(stampNames, versions), entries: ready, ...times };
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
}

/** What is about some of the keys. */
function partOf(writes: Writes, keys: readonly string[]): Writes {
  if (keys.length === writes.keys.length) return writes;
  const own = new Set(keys);
  return { ...writes, keys, ready: writes.ready.filter(({ key }) => own.has(key)) };
}
