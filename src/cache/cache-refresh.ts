import { isStoreFailure, ReentrantLoadError } from '../common/errors.ts';
import type { Flight } from '../common/flights.ts';
import { produce } from './cache-factory.ts';
import type { CacheJournal } from './cache-journal.ts';
import { lifetime, type CacheKeeper, type Held, type Kept } from './cache-keeper.ts';
import type { CacheLeases, Claim } from './cache-lease.ts';
import type { CacheLocal } from './cache-local.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import { NO_VERSIONS, type CacheReader, type Copy, type Look } from './cache-reader.ts';
import { acceptsStale, hit, type Outcome, type ReadOrder } from './cache-read.ts';
import { newestOf, type CacheTags, type Versions } from './cache-tags.ts';
import { isAgeing } from './early-refresh.ts';
import type { RefreshBackoff } from './refresh-backoff.ts';

export interface CacheRefreshParts {
  readonly reader: CacheReader;
  readonly tags: CacheTags;
  readonly leases: CacheLeases;
  readonly keeper: CacheKeeper;
  readonly local: CacheLocal;
  readonly journal: CacheJournal;
  readonly metrics: CacheMetrics;
  readonly backoff: RefreshBackoff;
  readonly now: () => number;
}

const UNLEASED = { claim: { kind: 'unleased' }, versions: NO_VERSIONS } as const;
/** How long this process serves what it computed while the server was away: others cannot tell it what is wrong. */
const DEGRADED_TTL_MS = 1_500;

/** The slow path of a read: claim the key → compute, or wait for who does → keep. */
export class CacheRefresh {
  constructor(private readonly parts: CacheRefreshParts) {}

  /** One computation per key and process; it goes on when nobody waits for it any more. */
  start<T>(order: ReadOrder<T>, look: Look<T>, flight: Flight | undefined): Promise<Outcome<T>> {
    const { context, reads, refreshes } = this.parts.local;
    const running = flight && refreshes.get(order.key);
    const refresh = running ?? refreshes.start(order.key, (own) => this.compute(order, look, own));
    // What a forgotten read has looked at may be from before an invalidation: its refresh is its own.
    const isCurrent = flight !== undefined && reads.get(order.key) === flight;
    if (running === undefined && !isCurrent) refreshes.forget(order.key);
    return context.wait(refresh, () => new ReentrantLoadError(order.name), flight) as Promise<Outcome<T>>;
  }

  /** Computes a value anew while it is still fresh; nobody waits for it, and a failure leaves it as it is. */
  early<T>(order: ReadOrder<T>): void {
    const { local, reader, now } = this.parts;
    if (local.refreshes.get(order.key) !== undefined) return;
    const run = async (flight: Flight<Outcome<unknown>>): Promise<Outcome<T>> => {
      const look = await reader.look<T>(order.key, order.stampNames);
      const { seen } = look;
      // Somebody else may just have done it.
      const isDone = seen.kind === 'fresh' && !isAgeing((seen.entry?.freshUntilMs ?? 0) - now(), order.options);
      if (isDone) return hit(seen.copy);
      return this.compute(order, look, flight);
    };
    local.refreshes.start(order.key, run).promise.catch(() => undefined);
  }

  private async compute<T>(order: ReadOrder<T>, look: Look<T>, flight: Flight): Promise<Outcome<T>> {
    const { claim, versions } = await this.claim(order, look);
    if (claim.kind === 'found') return hit(claim.value);
    const lease = claim.kind === 'leased' ? claim.lease : undefined;
    const held: Held = { lease, versions, isLocal: claim.kind === 'local' };
    held.lease?.hold(() => this.parts.local.forget([order.key]));
    return this.produced(order, look, held, flight);
  }

  private async produced<T>(order: ReadOrder<T>, { seen }: Look<T>, held: Held, flight: Flight): Promise<Outcome<T>> {
    const { local, keeper, backoff } = this.parts;
    const { name, options, factory, stampNames, counts } = order;
    const stale = seen.kind === 'stale' && acceptsStale(options) ? { value: seen.copy.again() } : undefined;
    counts.loads++;
    const startedAt = performance.now();
    const produced = await local.context.inside(flight, () => produce({ name, options, factory, stale }));
    counts.factories.record(performance.now() - startedAt);
    switch (produced.kind) {
      case 'value':
        backoff.succeeded(order.key);
        return {
          kind: 'loaded',
          copy: this.inMemory(order, flight, held, await keeper.keep(produced, stampNames, options, held)),
        };
      case 'unchanged':
        backoff.succeeded(order.key);
        return hit(this.inMemory(order, flight, held, await keeper.renew(seen, produced.ttlMs, options, held)));
      case 'failed':
        if (stale !== undefined) backoff.failed(order.key);
        await held.lease?.abandon();
        throw produced.error;
      default:
        return produced satisfies never;
    }
  }

  /** Holds in memory what was stored, or what nobody else can see now; not if the key was invalidated meanwhile. */
  private inMemory<T>(
    { key, options }: ReadOrder<T>,
    flight: Flight,
    { lease, isLocal }: Held,
    { copy, entry }: Kept<T>,
  ): Copy<T> {
    const { local } = this.parts;
    const isWanted = options.tier !== 'l2' && local.refreshes.get(key) === flight;
    if (entry === undefined || !isWanted) return copy;
    const isShared = lease !== undefined && local.holdsStored;
    if (isLocal === true) local.holdOwn(key, entry, copy.value);
    else if (isShared) local.hold(key, entry, copy.value);
    local.holdAlone(key, entry, copy.value, DEGRADED_TTL_MS);
    return copy;
  }

  /** Claims the key, with the versions that the new entry will carry. */
  private async claim<T>(order: ReadOrder<T>, look: Look<T>): Promise<{ claim: Claim<Copy<T>>; versions: Versions }> {
    const { leases, tags, reader } = this.parts;
    const { key, options, stampNames } = order;
    // Asking a server that has just not answered would cost the caller another deadline.
    if (look.isAway === true || this.parts.journal.covers(key)) return UNLEASED;
    try {
      const keepMs = lifetime(options.ttlMs, options).keepMs;
      let versions = await tags.capture(stampNames, look.versions, keepMs);
      if (options.tier === 'l1') return { claim: { kind: 'local' }, versions };
      const claim = await leases.claim<Copy<T>>({
        key,
        newest: newestOf(versions.values()),
        distrusted: distrustedOf(look),
        corrupt: corruptOf(look),
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
      if (!isStoreFailure(error)) throw error;
      this.parts.metrics.errors++;
      return UNLEASED;
    }
  }

  /** Waiting for a lease that the caller's own factory holds would never end. */
  private mayWait({ key, name, options }: Pick<ReadOrder<never>, 'key' | 'name' | 'options'>): boolean {
    if (options.coalesce !== 'cluster') return false;
    if (this.parts.local.context.computes(key)) throw new ReentrantLoadError(name);
    return true;
  }
}

const corruptOf = ({ seen }: Look<unknown>): string | undefined =>
  seen.kind === 'missing' && seen.isCorrupt === true ? seen.distrusted : undefined;

const distrustedOf = ({ seen }: Look<unknown>): string | undefined =>
  seen.kind === 'missing' ? seen.distrusted : seen.entry?.version;
