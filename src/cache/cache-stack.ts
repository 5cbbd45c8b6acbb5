import { isStoreFailure, ReentrantLoadError } from '../common/errors.ts';
import type { Flight } from '../common/flights.ts';
import { within } from '../common/within.ts';
import type { CacheEntry } from './cache-entry.ts';
import { produce, type Factory } from './cache-factory.ts';
import type { CacheJournal } from './cache-journal.ts';
import { lifetime, type CacheKeeper, type Held, type Kept } from './cache-keeper.ts';
import type { CacheLeases, Claim } from './cache-lease.ts';
import type { CacheLocal } from './cache-local.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import type { CacheReader, Copy, Look, Seen } from './cache-reader.ts';
import { newestOf, type CacheTags, type Versions } from './cache-tags.ts';
import type { ResolvedReadOptions } from './get-or-set.options.ts';

/** One read: what is wanted, how it is computed when it is not there, and how it is kept. */
export interface ReadOrder<T> {
  /** The full key. */
  readonly key: string;
  /** The key as the caller wrote it. */
  readonly name: string;
  /** Stamps that the entry will carry: the epochs of its scopes and its static tags. */
  readonly stampNames: readonly string[];
  readonly options: ResolvedReadOptions;
  readonly factory: Factory<T>;
}

/** How a read was answered. */
export type Outcome<T> =
  | { readonly kind: 'hit'; readonly freshness: 'fresh' | 'stale'; readonly copy: Copy<T> }
  | { readonly kind: 'loaded'; readonly copy: Copy<T> };

export interface CacheStackParts {
  readonly reader: CacheReader;
  readonly tags: CacheTags;
  readonly leases: CacheLeases;
  readonly keeper: CacheKeeper;
  readonly local: CacheLocal;
  readonly journal: CacheJournal;
  readonly metrics: CacheMetrics;
  readonly now: () => number;
  /** Told of every read, where somebody wants to see them all. */
  readonly trace: ReadTrace | undefined;
}

export type ReadTrace = (key: string, outcome: 'hit' | 'stale' | 'miss' | 'failure') => void;

const COUNTER_OF = { hit: 'hits', stale: 'stale', miss: 'misses' } as const;
const NO_VERSIONS: Versions = new Map();
/** A look that was not possible. */
const NOTHING: Look<never> = { seen: { kind: 'missing' }, versions: NO_VERSIONS };
const UNLEASED = { claim: { kind: 'unleased' }, versions: NO_VERSIONS } as const;
/** How long this process serves what it computed while the server was away: others cannot tell it what is wrong. */
const DEGRADED_TTL_MS = 1_500;

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
  peek(name: string, { isFrozen }: ResolvedReadOptions): unknown {
    const { local, metrics, trace } = this.parts;
    const value = local.tier.read(name, isFrozen);
    if (value === undefined) return undefined;
    metrics.hits++;
    trace?.(name, 'hit');
    return value;
  }

  /** What is there, fresh or not, without computing anything. @throws StoreUnavailableError, OutcomeUnknownError */
  async find<T>(key: string, stampNames: readonly string[]): Promise<Seen<T>> {
    const { looks } = this.parts.local;
    const running = looks.get(key);
    const flight = running ?? looks.start(key, (own) => this.findAndHold<T>(key, stampNames, own));
    const seen = (await flight.promise) as Seen<T>;
    return running === undefined ? seen : anotherOf(seen);
  }

  private async findAndHold<T>(key: string, stampNames: readonly string[], flight: Flight): Promise<Seen<T>> {
    const { local, journal, reader } = this.parts;
    if (journal.covers(key)) return { kind: 'missing' };
    const { seen } = await reader.look<T>(key, stampNames);
    if (seen.kind === 'fresh' && local.looks.get(key) === flight) this.hold(key, seen.copy, seen.entry);
    return seen;
  }

  async getOrSet<T>(order: ReadOrder<T>): Promise<T> {
    if (order.options.coalesce === 'off')
      return (await this.counted(order.name, this.read(order, undefined))).copy.value;
    const { reads, context } = this.parts.local;
    const running = reads.get(order.key);
    const flight = running ?? reads.start(order.key, (own) => this.read(order, own));
    const answer = context.wait(flight, () => new ReentrantLoadError(order.name)) as Promise<Outcome<T>>;
    const { copy } = await this.counted(order.name, answer);
    return running === undefined ? copy.value : this.shared(copy);
  }

  /** Runs the factory and keeps nothing. */
  async bypass<T>({ name, options, factory }: ReadOrder<T>): Promise<T> {
    this.parts.metrics.loads++;
    this.parts.metrics.misses++;
    const produced = await produce({ name, options, factory, stale: undefined });
    if (produced.kind === 'value') return produced.value;
    throw produced.kind === 'failed' ? produced.error : new Error('There is no stale value to keep');
  }

  private async read<T>(order: ReadOrder<T>, flight: Flight | undefined): Promise<Outcome<T>> {
    const look = await this.look(order);
    const { seen } = look;
    if (seen.kind === 'fresh') {
      if (flight === this.parts.local.reads.get(order.key)) this.hold(order.key, seen.copy, seen.entry);
      return hit(seen.copy);
    }
    const refreshed = this.refresh(order, look, flight);
    if (seen.kind === 'missing' || !acceptsStale(order.options)) return refreshed;
    return this.orStale(refreshed, seen.copy, this.patience(order.options, seen.entry.freshUntilMs));
  }

  /** A server that cannot be asked, or has not seen an invalidation yet, is a cache with nothing in it. */
  private async look<T>({ key, stampNames }: ReadOrder<T>): Promise<Look<T>> {
    if (this.parts.journal.covers(key)) return NOTHING;
    try {
      return await this.parts.reader.look(key, stampNames);
    } catch (error) {
      this.forgive(error);
      return NOTHING;
    }
  }

  /** The stale value when the refresh fails, or takes longer than the caller wants to wait. */
  private async orStale<T>(
    refreshed: Promise<Outcome<T>>,
    copy: Copy<T>,
    patienceMs: number | undefined,
  ): Promise<Outcome<T>> {
    const stale: Outcome<T> = { kind: 'hit', freshness: 'stale', copy };
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

  /** One computation per key and process; it goes on when nobody waits for it any more. */
  private refresh<T>(order: ReadOrder<T>, look: Look<T>, flight: Flight | undefined): Promise<Outcome<T>> {
    const { context, reads, refreshes } = this.parts.local;
    const running = flight && refreshes.get(order.key);
    const refresh = running ?? refreshes.start(order.key, (own) => this.compute(order, look, own));
    // What a forgotten read has looked at may be from before an invalidation: its refresh is its own.
    const isCurrent = flight !== undefined && reads.get(order.key) === flight;
    if (running === undefined && !isCurrent) refreshes.forget(order.key);
    return context.wait(refresh, () => new ReentrantLoadError(order.name), flight) as Promise<Outcome<T>>;
  }

  private async compute<T>(order: ReadOrder<T>, look: Look<T>, flight: Flight): Promise<Outcome<T>> {
    const { claim, versions } = await this.claim(order, look);
    if (claim.kind === 'found') return hit(claim.value);
    const held: Held = { lease: claim.kind === 'leased' ? claim.lease : undefined, versions };
    held.lease?.hold(() => this.parts.local.forget([order.key]));
    return this.produced(order, look, held, flight);
  }

  private async produced<T>(order: ReadOrder<T>, { seen }: Look<T>, held: Held, flight: Flight): Promise<Outcome<T>> {
    const { local, keeper, metrics } = this.parts;
    const { name, options, factory, stampNames } = order;
    const stale = seen.kind === 'stale' && acceptsStale(options) ? { value: seen.copy.again() } : undefined;
    metrics.loads++;
    const produced = await local.context.inside(flight, () => produce({ name, options, factory, stale }));
    switch (produced.kind) {
      case 'value':
        return {
          kind: 'loaded',
          copy: this.kept(order, flight, held, await keeper.keep(produced, stampNames, options, held)),
        };
      case 'unchanged':
        return hit(this.kept(order, flight, held, await keeper.renew(seen, produced.ttlMs, options, held)));
      case 'failed':
        await held.lease?.abandon();
        throw produced.error;
      default:
        return produced satisfies never;
    }
  }

  /** Holds in memory what was stored, or what nobody else can see now; not if the key was invalidated meanwhile. */
  private kept<T>(order: ReadOrder<T>, flight: Flight, { lease }: Held, { copy, entry }: Kept<T>): Copy<T> {
    const { local } = this.parts;
    if (entry === undefined || local.refreshes.get(order.key) !== flight) return copy;
    if (lease === undefined) local.tier.putAlone(local.nameOf(order.key), entry, copy.value, DEGRADED_TTL_MS);
    else this.hold(order.key, copy, entry);
    return copy;
  }

  /** Not what another program wrote: nobody tells when that changes. */
  private hold<T>(key: string, copy: Copy<T>, entry: CacheEntry | undefined): void {
    const { local } = this.parts;
    if (entry !== undefined) local.tier.put(local.nameOf(key), entry, copy.value);
  }

  /** Claims the key, with the versions that the new entry will carry. */
  private async claim<T>(order: ReadOrder<T>, look: Look<T>): Promise<{ claim: Claim<Copy<T>>; versions: Versions }> {
    const { leases, tags, reader } = this.parts;
    const { key, options, stampNames } = order;
    // Asking a server that has just not answered would cost the caller another deadline.
    if (look === NOTHING || this.parts.journal.covers(key)) return UNLEASED;
    try {
      const keepMs = lifetime(options.ttlMs, options).keepMs;
      let versions = await tags.capture(stampNames, look.versions, keepMs);
      const claim = await leases.claim<Copy<T>>({
        key,
        newest: newestOf(versions.values()),
        distrusted: distrustedOf(look),
        mayWait: () => this.mayWait(order),
        accept: async (found) => {
          const known = await reader.examine<T>(found, versions);
          if (known.seen.kind === 'fresh') return { kind: 'accepted', value: known.seen.copy };
          // Perhaps it is newer than what this caller knows: an invalidation and a load may have come in between.
          const now = await reader.examine<T>(found, NO_VERSIONS);
          versions = new Map([...versions, ...now.versions]);
          if (now.seen.kind === 'fresh') return { kind: 'accepted', value: now.seen.copy };
          return { kind: 'refused', distrusted: distrustedOf(now) };
        },
      });
      return { claim, versions };
    } catch (error) {
      this.forgive(error);
      return UNLEASED;
    }
  }

  /** Waiting for a lease that the caller's own factory holds would never end. */
  private mayWait({ key, name, options }: Pick<ReadOrder<never>, 'key' | 'name' | 'options'>): boolean {
    if (options.coalesce !== 'cluster') return false;
    if (this.parts.local.context.computes(key)) throw new ReentrantLoadError(name);
    return true;
  }

  /** A read does not fail because the cache does. */
  private forgive(error: unknown): void {
    if (!isStoreFailure(error)) throw error;
    this.parts.metrics.errors++;
  }

  /** Records how a read went: the one place that does. */
  private async counted<T>(name: string, answer: Promise<Outcome<T>>): Promise<Outcome<T>> {
    const { metrics, trace } = this.parts;
    try {
      const outcome = await answer;
      const kind = outcome.kind === 'loaded' ? 'miss' : outcome.freshness === 'fresh' ? 'hit' : 'stale';
      metrics[COUNTER_OF[kind]]++;
      trace?.(name, kind);
      return outcome;
    } catch (error) {
      metrics.failures++;
      trace?.(name, 'failure');
      throw error;
    }
  }

  private shared<T>(copy: Copy<T>): T {
    this.parts.metrics.coalesced++;
    return copy.again();
  }
}

const anotherOf = <T>(seen: Seen<T>): Seen<T> =>
  seen.kind === 'missing' ? seen : { ...seen, copy: { ...seen.copy, value: seen.copy.again() } };

const hit = <T>(copy: Copy<T>): Outcome<T> => ({ kind: 'hit', freshness: 'fresh', copy });

const acceptsStale = ({ graceMs, revalidateMs }: ResolvedReadOptions): boolean => graceMs > 0 || revalidateMs > 0;

const distrustedOf = ({ seen }: Look<unknown>): string | undefined =>
  seen.kind === 'missing' ? seen.distrusted : seen.entry?.version;
