import { isStoreFailure, ReentrantLoadError } from '../common/errors.ts';
import type { Flight } from '../common/flights.ts';
import type { AnsweredFrom, ReadOutcome } from '../common/tracing.ts';
import { within } from '../common/within.ts';
import { produce } from './cache-factory.ts';
import type { CacheJournal } from './cache-journal.ts';
import type { CacheLocal } from './cache-local.ts';
import type { CacheCounts, CacheMetrics } from './cache-metrics.ts';
import { acceptsStale, hit, type Outcome, type ReadOrder } from './cache-read.ts';
import { copyOf, NO_VERSIONS, type CacheReader, type Copy, type Fresh, type Look, type Seen } from './cache-reader.ts';
import type { CacheRefresh } from './cache-refresh.ts';
import { isDue } from './early-refresh.ts';
import { isAccepted, type StandardSchema, type Tier } from './get-or-set.options.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';
import type { RefreshBackoff } from './refresh-backoff.ts';

export interface CacheStackParts {
  readonly reader: CacheReader;
  readonly refresh: CacheRefresh;
  readonly local: CacheLocal;
  readonly journal: CacheJournal;
  readonly backoff: RefreshBackoff;
  readonly metrics: CacheMetrics;
  readonly now: () => number;
  /** Told of every read, where somebody wants to see them all. */
  readonly trace: ReadTrace | undefined;
}

export type ReadTrace = (key: string, outcome: ReadOutcome, from: AnsweredFrom) => void;

const COUNTER_OF = { hit: 'storeHits', stale: 'stale', miss: 'misses' } as const;

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

  async getOrSet<T>(order: ReadOrder<T>): Promise<T> {
    const { reads, context } = this.parts.local;
    if (order.options.coalesce === 'off') {
      const { copy } = await this.counted(order, this.read(order, undefined));
      return copy.value;
    }
    const running = reads.get(order.key);
    const flight = running ?? reads.start(order.key, (own) => this.read(order, own));
    const answer = context.wait(flight, () => new ReentrantLoadError(order.name)) as Promise<Outcome<T>>;
    const { copy } = await this.counted(order, answer);
    if (running === undefined) return copy.value;
    order.counts.coalesced++;
    return copy.again();
  }

  /** Has a fresh value that was just read computed anew, if its time is nearly over. */
  refreshEarly<T>(order: ReadOrder<T>): void {
    const ageing = this.parts.local.ageing(order.key);
    if (ageing !== undefined && isDue(ageing, order.options)) this.parts.refresh.early(order);
  }

  /** What is there, fresh or not, without computing anything. @throws StoreUnavailableError, OutcomeUnknownError */
  async find<T>(key: string, stampNames: readonly string[], tier: Tier = 'both'): Promise<Seen<T>> {
    const { looks } = this.parts.local;
    const running = looks.get(key);
    const flight = running ?? looks.start(key, (own) => this.findAndHold<T>(key, stampNames, tier, own));
    const seen = (await flight.promise) as Seen<T>;
    return running === undefined ? seen : anotherOf(seen);
  }

  private async findAndHold<T>(
    key: string,
    stampNames: readonly string[],
    tier: Tier,
    flight: Flight,
  ): Promise<Seen<T>> {
    const { local, journal, reader } = this.parts;
    if (journal.covers(key)) return { kind: 'missing' };
    const { seen } = await reader.look<T>(key, stampNames);
    const isHeld = seen.kind === 'fresh' && tier !== 'l2' && local.looks.get(key) === flight;
    if (isHeld) local.hold(key, seen.entry, seen.copy.value);
    return seen;
  }

  /** Runs the factory and keeps nothing. */
  async bypass<T>({ name, options, factory, counts }: ReadOrder<T>): Promise<T> {
    counts.loads++;
    counts.misses++;
    counts.bypassed++;
    const produced = await produce({ name, options, factory, stale: undefined });
    if (produced.kind === 'value') return produced.value;
    throw produced.kind === 'failed' ? produced.error : new Error('There is no stale value to keep');
  }

  private async read<T>(order: ReadOrder<T>, flight: Flight | undefined): Promise<Outcome<T>> {
    const look = await this.look(order);
    const { seen } = look;
    if (seen.kind === 'fresh') {
      this.served(order, seen, flight);
      return hit(seen.copy);
    }
    if (seen.kind === 'stale' && acceptsStale(order.options) && this.parts.backoff.isPaused(order.key)) {
      return staleOf(order, look, seen.copy);
    }
    const refreshed = this.parts.refresh.start(order, look, flight);
    if (seen.kind === 'missing' || !acceptsStale(order.options)) return refreshed;
    const stale = staleOf(order, look, seen.copy);
    return this.orStale(refreshed, stale, this.patience(order.options, seen.entry.freshUntilMs));
  }

  /** What else a fresh value from the store is good for. */
  private served<T>(order: ReadOrder<T>, seen: Fresh<T>, flight: Flight | undefined): void {
    const { local, now, refresh } = this.parts;
    const { key, options } = order;
    const isCurrent = flight !== undefined && local.reads.get(key) === flight;
    if (isCurrent && options.tier === 'both') local.hold(key, seen.entry, seen.copy.value);
    if (seen.entry === undefined || options.earlyRefresh === undefined) return;
    const { costMs, freshUntilMs } = seen.entry;
    if (isDue({ costMs, remainingMs: freshUntilMs - now() }, options)) refresh.early(order);
  }

  /** A server that cannot be asked, or has not seen an invalidation yet, is a cache with nothing in it. */
  private look<T>({ key, stampNames, options }: ReadOrder<T>): Promise<Look<T>> {
    const { journal, reader } = this.parts;
    if (journal.covers(key)) return Promise.resolve({ seen: { kind: 'missing' }, versions: NO_VERSIONS });
    const { tier, schema } = options;
    const looking = tier === 'l1' ? this.kept<T>(key, options) : reader.look<T>(key, stampNames);
    const accepting = schema === undefined ? looking : looking.then((look) => accepted(look, schema));
    // Not an async method: each layer costs every read on the server.
    return accepting.catch((error: unknown) => {
      this.forgive(error);
      return this.fromMemory(key);
    });
  }

  /** What is kept in this process only is stale at best: had it been fresh, nobody would look. */
  private async kept<T>(key: string, options: ResolvedReadOptions): Promise<Look<T>> {
    const entry = acceptsStale(options) ? this.parts.local.kept(key) : undefined;
    if (entry === undefined) return { seen: { kind: 'missing' }, versions: NO_VERSIONS };
    const look = await this.parts.reader.examine<T>({ kind: 'entry', entry }, NO_VERSIONS);
    return look.seen.kind === 'fresh' ? { ...look, seen: { kind: 'stale', copy: look.seen.copy, entry } } : look;
  }

  /** What this process last knew, for those who would rather have a stale value than none. */
  private fromMemory<T>(key: string): Look<T> {
    const entry = this.parts.local.stale(key);
    const seen: Seen<T> = entry === undefined ? { kind: 'missing' } : { kind: 'stale', entry, copy: copyOf<T>(entry) };
    return { seen, versions: NO_VERSIONS, isAway: true };
  }

  /** The stale value when the refresh fails, or takes longer than the caller wants to wait. */
  private async orStale<T>(
    refreshed: Promise<Outcome<T>>,
    stale: Outcome<T>,
    patienceMs: number | undefined,
  ): Promise<Outcome<T>> {
    const orFailed = refreshed.catch(() => stale);
    if (patienceMs === undefined) return orFailed;
    return patienceMs === 0 ? stale : within(orFailed, patienceMs, stale);
  }

  /** How long the caller of a stale value waits for a fresh one; undefined: as long as it takes. */
  private patience({ revalidateMs, softTimeoutMs }: ResolvedReadOptions, freshUntilMs: number): number | undefined {
    // An entry made stale by a tag may have its whole TTL before it.
    const isRevalidated = revalidateMs > 0 && this.parts.now() - freshUntilMs < revalidateMs;
    return isRevalidated ? 0 : softTimeoutMs;
  }

  /** A read does not fail because the cache does. */
  private forgive(error: unknown): void {
    if (!isStoreFailure(error)) throw error;
    this.parts.metrics.errors++;
  }

  /** Records how a read went: the one place that does. */
  private async counted<T>({ name, counts }: ReadOrder<T>, answer: Promise<Outcome<T>>): Promise<Outcome<T>> {
    const { trace } = this.parts;
    const startedAt = performance.now();
    try {
      const outcome = await answer;
      const kind = outcome.kind === 'loaded' ? 'miss' : outcome.freshness === 'fresh' ? 'hit' : 'stale';
      counts[COUNTER_OF[kind]]++;
      trace?.(name, kind, outcome.kind === 'hit' ? outcome.from : 'store');
      return outcome;
    } catch (error) {
      counts.failures++;
      trace?.(name, 'failure', 'store');
      throw error;
    } finally {
      counts.reads.record(performance.now() - startedAt);
    }
  }
}

/** A stale value lies in memory while the server is away, and where it is kept nowhere else. */
const staleOf = <T>({ options }: ReadOrder<T>, { isAway }: Look<T>, copy: Copy<T>): Outcome<T> => ({
  ...{ kind: 'hit', freshness: 'stale', copy },
  from: isAway === true || options.tier === 'l1' ? 'memory' : 'store',
});

const anotherOf = <T>(seen: Seen<T>): Seen<T> =>
  seen.kind === 'missing' ? seen : { ...seen, copy: { ...seen.copy, value: seen.copy.again() } };

/** A value that the caller's schema does not accept is none. */
async function accepted<T>(look: Look<T>, schema: StandardSchema): Promise<Look<T>> {
  const { seen } = look;
  if (seen.kind === 'missing' || (await isAccepted(schema, seen.copy.value))) return look;
  const distrusted = seen.entry?.version ?? 'corrupt';
  return { ...look, seen: { kind: 'missing', distrusted } };
}
