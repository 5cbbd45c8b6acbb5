import { globMatcher } from '../common/glob.ts';
import type { CacheFlights } from './cache-flights.ts';
import { lifetime, type CacheKeeper } from './cache-keeper.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import type { CacheStore } from './cache-store.interface.ts';
import type { Notices } from './cache-sync.ts';
import { stampsOf, type CacheTags, type Versions } from './cache-tags.ts';
import type { EntryDraft } from './cache-entry.ts';
import type { ResolvedReadOptions } from './get-or-set.options.ts';

export interface CacheWriterParts {
  readonly store: CacheStore;
  readonly tags: CacheTags;
  readonly keeper: CacheKeeper;
  readonly flights: CacheFlights;
  readonly notices: Notices;
  readonly metrics: CacheMetrics;
}

type Item = readonly [fullKey: string, value: unknown];
type KeyedDraft = readonly [fullKey: string, draft: EntryDraft];

const NO_VERSIONS: Versions = new Map();

/**
 * Writes and invalidations. Each one keeps later callers from joining what is under way, before *and* after the server
 * is told: a read that begins in between may still see the old value, and nobody may join that one either.
 */
export class CacheWriter {
  constructor(private readonly parts: CacheWriterParts) {}

  /** @throws SerializationError before anything is written, when one of the values cannot be stored */
  async set(items: readonly Item[], stampNames: readonly string[], options: ResolvedReadOptions): Promise<void> {
    const { keeper, store, tags, notices, metrics } = this.parts;
    const times = lifetime(options.ttlMs, options);
    const encoded = items.flatMap(([key, value]) => {
      const made = keeper.encode(value);
      return made === undefined ? [] : [[key, made] as const];
    });
    const keys = items.map(([key]) => key);
    const write = (versions: Versions): Promise<void> => {
      const stamps = stampsOf(stampNames, versions);
      const drafts = encoded.map(([key, made]): KeyedDraft => [key, { ...made, ...times, costMs: 0, stamps }]);
      return store.write(drafts, notices.keys(keys));
    };
    await this.between(
      () => this.parts.flights.forget(keys),
      async () => {
        // What is too large, or not to be kept at all, must not leave the value before it in place either.
        const dropped = options.ttlMs === 0 ? keys : keys.filter((key) => !encoded.some(([kept]) => kept === key));
        if (dropped.length > 0) await store.del(dropped, notices.keys(dropped));
        if (options.ttlMs === 0 || encoded.length === 0) return;
        await this.stamped(stampNames, times.keepMs, write, tags);
        metrics.sets += encoded.length;
      },
    );
  }

  /** How many of the keys there were. */
  async del(keys: readonly string[]): Promise<number> {
    const { store, flights, notices, metrics } = this.parts;
    const forget = (): void => flights.forget(keys);
    const removed = await this.between(forget, () => store.del(keys, notices.keys(keys)));
    metrics.deletes += removed;
    return removed;
  }

  /** How many keys the full glob matched. */
  async delPattern(pattern: string): Promise<number> {
    const { store, flights, notices, metrics } = this.parts;
    const matches = globMatcher(pattern);
    const forget = (): void => flights.forgetMatching(matches);
    const removed = await this.between(forget, () => store.delPattern(pattern, notices.pattern(pattern)));
    metrics.deletes += removed;
    return removed;
  }

  /** Invalidates what carries these tags or epochs: gone, or stale but kept for grace. */
  async bump(stampNames: readonly string[], mode: 'delete' | 'expire'): Promise<void> {
    const { tags, flights, notices, metrics } = this.parts;
    await this.between(
      () => flights.forgetAll(),
      () => tags.bump(stampNames, mode, notices.stamps(stampNames)),
    );
    metrics.invalidations += stampNames.length;
  }

  /**
   * Writes with the versions last seen while asking for the current ones, so that a write is one trip; if they had
   * changed, what was written is invalid already and is written again.
   */
  private async stamped(
    names: readonly string[],
    keepMs: number,
    write: (versions: Versions) => Promise<void>,
    tags: CacheTags,
  ): Promise<void> {
    const guess = tags.lastSeen(names);
    const [versions] = await Promise.all([tags.capture(names, NO_VERSIONS, keepMs), guess && write(guess)]);
    if (guess === undefined || names.some((name) => versions.get(name) !== guess.get(name))) await write(versions);
  }

  private async between<R>(forget: () => void, act: () => Promise<R>): Promise<R> {
    forget();
    try {
      return await act();
    } finally {
      forget();
    }
  }
}
