import type { AnsweredFrom, ReadOutcome } from '../common/tracing.ts';
import type { CacheJournal } from './cache-journal.ts';
import type { CacheLoad } from './cache-load.ts';
import type { CacheLocal } from './cache-local.ts';
import type { Reading } from './cache-looks.ts';
import type { CacheCounts } from './cache-metrics.ts';
import type { ReadOrder } from './cache-read.ts';
import type { CacheReader, Seen } from './cache-reader.ts';
import type { CacheRefresh } from './cache-refresh.ts';
import { isDue } from './early-refresh.ts';
import type { Tier } from './get-or-set.options.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

export interface CacheStackParts {
  readonly reader: CacheReader;
  readonly load: CacheLoad;
  readonly refresh: CacheRefresh;
  readonly local: CacheLocal;
  readonly journal: CacheJournal;
  /** Told of every read, where somebody wants to see them all. */
  readonly trace: ReadTrace | undefined;
}

export type ReadTrace = (key: string, outcome: ReadOutcome, from: AnsweredFrom) => void;

const COUNTER_OF = { hit: 'storeHits', stale: 'stale', miss: 'misses', failure: 'failures' } as const;
const HIT_OF = { fresh: 'hit', stale: 'stale' } as const;

/**
 * A read from top to bottom: memory → look in the store → fresh, so answer → otherwise claim the key → compute → keep.
 *
 * What makes it race-free: the versions of tags and epochs are read *before* the factory runs, and the result is
 * stored only while the lease that was claimed before it is still there. Whatever invalidates a key takes its lease
 * away (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1), so what was read from the source
 * before an invalidation is never stored after it, whoever invalidated and however long the factory took.
 */
export class CacheStack {
  constructor(private readonly parts: CacheStackParts) {}

  /** A fresh value that this process holds, or undefined: no I/O, and nothing but the value is made. */
  peek(name: string, { isFrozen, tier }: ResolvedReadOptions, counts: CacheCounts): unknown {
    const { local, trace } = this.parts;
    if (tier === 'l2') return undefined;
    const value = local.tier.read(name, isFrozen);
    if (value === undefined) return undefined;
    counts.memoryHits++;
    trace?.(name, 'hit', 'memory');
    return value;
  }

  /** For who reads with `find`: says how that went. */
  tell(name: string, outcome: ReadOutcome, from: AnsweredFrom): void {
    this.parts.trace?.(name, outcome, from);
  }

  /** What memory did not answer. A hit costs one promise beside the reading's: promises are what it costs most of. */
  async getOrSet<T>(order: ReadOrder<T>): Promise<T> {
    if (!this.isPlain(order)) return this.loaded(order, performance.now());
    const { reader, load, local } = this.parts;
    const joined = local.looks.get(order.key);
    const reading = joined ?? local.looks.start(order.key, reader.begin(order.key));
    const startedAt = joined === undefined ? reading.startedAt : performance.now();
    let seen: Seen<T> | undefined;
    try {
      seen = reader.recognised<T>(await reading.found, order.stampNames)?.seen;
    } catch {
      // What a failure means is decided where the reading is looked at in full. It cannot be from before an invalidation.
      local.looks.land(order.key, reading);
      return this.loaded(order, startedAt, reading);
    }
    const isCurrent = local.looks.land(order.key, reading);
    if (seen?.kind !== 'fresh') return this.loaded(order, startedAt, isCurrent ? reading : undefined);
    const endedAt = performance.now();
    reader.record(reading, endedAt);
    load.served(order, seen, isCurrent);
    if (joined !== undefined) order.counts.coalesced++;
    this.count(order, endedAt - startedAt, 'hit');
    return seen.copy.value;
  }

  /** Has a fresh value that was just read computed anew, if its time is nearly over. */
  refreshEarly<T>(order: ReadOrder<T>): void {
    const ageing = this.parts.local.ageing(order.key);
    if (ageing !== undefined && isDue(ageing, order.options)) this.parts.refresh.early(order);
  }

  /** What is there, fresh or not, without computing anything. @throws StoreUnavailableError, OutcomeUnknownError */
  async find<T>(key: string, stampNames: readonly string[], tier: Tier = 'both'): Promise<Seen<T>> {
    const { local, journal, reader } = this.parts;
    if (journal.covers(key)) return { kind: 'missing' };
    const reading = local.looks.get(key) ?? local.looks.start(key, reader.begin(key));
    let seen: Seen<T> | undefined;
    try {
      if (local.knows(stampNames)) seen = reader.recognised<T>(await reading.found, stampNames)?.seen;
    } catch {
      // As in `getOrSet`.
    }
    try {
      if (seen === undefined) ({ seen } = await reader.look<T>(key, stampNames, reading));
      else reader.record(reading, performance.now());
      const isCurrent = local.looks.land(key, reading);
      if (isCurrent && seen.kind === 'fresh' && tier !== 'l2') local.hold(key, seen.entry, seen.copy.value);
      return seen;
    } finally {
      local.looks.land(key, reading);
    }
  }

  bypass<T>(order: ReadOrder<T>): Promise<T> {
    return this.parts.load.bypass(order);
  }

  /** Whether a look at the store is likely to be all that it takes. */
  private isPlain<T>({ key, stampNames, options }: ReadOrder<T>): boolean {
    const { local, journal } = this.parts;
    return options.isPlain && local.reads.get(key) === undefined && !journal.covers(key) && local.knows(stampNames);
  }

  private async loaded<T>(order: ReadOrder<T>, startedAt: number, reading?: Reading): Promise<T> {
    try {
      const outcome = await this.parts.load.getOrSet(order, reading);
      const tookMs = performance.now() - startedAt;
      if (outcome.kind === 'loaded') this.count(order, tookMs, 'miss');
      else this.count(order, tookMs, HIT_OF[outcome.freshness], outcome.from);
      return outcome.copy.value;
    } catch (error) {
      this.count(order, performance.now() - startedAt, 'failure');
      throw error;
    }
  }

  /** Records how a read went: the one place that does. */
  private count<T>(
    { name, counts }: ReadOrder<T>,
    tookMs: number,
    outcome: ReadOutcome,
    from: AnsweredFrom = 'store',
  ): void {
    counts[COUNTER_OF[outcome]]++;
    counts.reads.record(tookMs);
    this.parts.trace?.(name, outcome, from);
  }
}
