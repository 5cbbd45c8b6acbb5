import { isStoreFailure, ReentrantLoadError } from '../common/errors.ts';
import type { Flight } from '../common/flights.ts';
import { within } from '../common/within.ts';
import { produce } from './cache-factory.ts';
import type { CacheJournal } from './cache-journal.ts';
import type { CacheLocal } from './cache-local.ts';
import type { Reading } from './cache-looks.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import { acceptsStale, hit, type Outcome, type ReadOrder } from './cache-read.ts';
import { copyOf, NO_VERSIONS, type CacheReader, type Copy, type Fresh, type Look, type Seen } from './cache-reader.ts';
import type { CacheRefresh } from './cache-refresh.ts';
import { isDue } from './early-refresh.ts';
import { isAccepted, type StandardSchema } from './get-or-set.options.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';
import type { RefreshBackoff } from './refresh-backoff.ts';

export interface CacheLoadParts {
  readonly reader: CacheReader;
  readonly refresh: CacheRefresh;
  readonly local: CacheLocal;
  readonly journal: CacheJournal;
  readonly backoff: RefreshBackoff;
  readonly metrics: CacheMetrics;
  readonly now: () => number;
}

/** A read that may have to compute: look → fresh, so answer → otherwise the stale value, or a new one. */
export class CacheLoad {
  constructor(private readonly parts: CacheLoadParts) {}

  /** @param reading what the caller has seen of the key and found wanting, unless it may be from before an invalidation */
  async getOrSet<T>(order: ReadOrder<T>, reading: Reading | undefined): Promise<Outcome<T>> {
    const { reads, context } = this.parts.local;
    if (order.options.coalesce === 'off') return this.read(order, undefined, reading);
    const running = reads.get(order.key);
    const flight = running ?? reads.start(order.key, (own) => this.read(order, own, reading));
    const outcome = (await context.wait(flight, () => new ReentrantLoadError(order.name))) as Outcome<T>;
    if (running === undefined) return outcome;
    order.counts.coalesced++;
    return { ...outcome, copy: { ...outcome.copy, value: outcome.copy.again() } };
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

  /** What else a fresh value from the store is good for, unless it was invalidated meanwhile. */
  served<T>(order: ReadOrder<T>, seen: Fresh<T>, isCurrent: boolean): void {
    const { local, now, refresh } = this.parts;
    const { key, options } = order;
    if (isCurrent && options.tier === 'both') local.hold(key, seen.entry, seen.copy.value);
    if (seen.entry === undefined || options.earlyRefresh === undefined) return;
    const { costMs, freshUntilMs } = seen.entry;
    if (isDue({ costMs, remainingMs: freshUntilMs - now() }, options)) refresh.early(order);
  }

  private async read<T>(
    order: ReadOrder<T>,
    flight: Flight | undefined,
    reading: Reading | undefined,
  ): Promise<Outcome<T>> {
    const look = await this.look(order, reading);
    const { seen } = look;
    if (seen.kind === 'fresh') {
      this.served(order, seen, flight !== undefined && this.parts.local.reads.get(order.key) === flight);
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

  /** A server that cannot be asked, or has not seen an invalidation yet, is a cache with nothing in it. */
  private async look<T>({ key, stampNames, options }: ReadOrder<T>, reading: Reading | undefined): Promise<Look<T>> {
    const { journal, reader } = this.parts;
    if (journal.covers(key)) return { seen: { kind: 'missing' }, versions: NO_VERSIONS };
    const { tier, schema } = options;
    try {
      const look = await (tier === 'l1' ? this.kept<T>(key, options) : reader.look<T>(key, stampNames, reading));
      return schema === undefined ? look : await accepted(look, schema);
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      // A read does not fail because the cache does.
      this.parts.metrics.errors++;
      return this.fromMemory(key);
    }
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
}

/** A stale value lies in memory while the server is away, and where it is kept nowhere else. */
const staleOf = <T>({ options }: ReadOrder<T>, { isAway }: Look<T>, copy: Copy<T>): Outcome<T> => ({
  ...{ kind: 'hit', freshness: 'stale', copy },
  from: isAway === true || options.tier === 'l1' ? 'memory' : 'store',
});

/** A value that the caller's schema does not accept is none. */
async function accepted<T>(look: Look<T>, schema: StandardSchema): Promise<Look<T>> {
  const { seen } = look;
  if (seen.kind === 'missing' || (await isAccepted(schema, seen.copy.value))) return look;
  const distrusted = seen.entry?.version ?? 'corrupt';
  return { ...look, seen: { kind: 'missing', distrusted } };
}
