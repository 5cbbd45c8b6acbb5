import { FlightContext, Flights } from '../common/flights.ts';
import type { KeySpace } from '../common/keys.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { CacheEntry } from './cache-entry.ts';
import { CacheLooks } from './cache-looks.ts';
import type { Outcome } from './cache-read.ts';
import type { CacheTags } from './cache-tags.ts';
import type { Ageing } from './early-refresh.ts';
import type { MemoryTier, OnDrop } from './memory-tier.ts';

/**
 * What this process has of the cache: values it holds, values it is reading and computing, versions it has seen.
 * All keys are full keys. Forgetting is the one thing that is done to it from outside: after it, nobody is served or
 * joins what may be from before an invalidation.
 */
export class CacheLocal {
  /** Reads of the store. */
  readonly looks = new CacheLooks();
  /** Reads that look is not enough for. */
  readonly reads = new Flights<Outcome<unknown>>();
  /** Factory runs: they may outlive the read that began them. */
  readonly refreshes = new Flights<Outcome<unknown>>();
  readonly context = new FlightContext();
  /**
   * Whether what was just stored may be held. Not where the server tells of every change, own ones too: it cannot be
   * told whether the last one was ours, so the value is held when it is read next.
   */
  holdsStored = true;

  constructor(
    readonly tier: MemoryTier,
    private readonly tags: CacheTags,
    private readonly keys: KeySpace,
  ) {}

  /** How the tier names a full key: as the application does, so that a hit costs no string. */
  private nameOf(key: string): string {
    return this.keys.strip(key) ?? key;
  }

  holds(key: string): boolean {
    return this.tier.has(this.nameOf(key));
  }

  /** Holds what the store holds too. Not what another program wrote: nobody tells when that changes. */
  hold(key: string, entry: CacheEntry | undefined, value: unknown): void {
    if (entry !== undefined) this.tier.put(this.nameOf(key), entry, value);
  }

  /** Holds what the caller wants in this process only. */
  holdOwn(key: string, entry: CacheEntry, value: unknown): void {
    this.tier.putOwn(this.nameOf(key), entry, value);
  }

  /** What is served here and held nowhere else, as the caller wants it. */
  own(key: string): CacheEntry | undefined {
    return this.tier.own(this.nameOf(key));
  }

  /** What is held under a key, fresh or in grace; perhaps it was invalidated by a tag. */
  kept(key: string): CacheEntry | undefined {
    return this.tier.kept(this.nameOf(key));
  }

  /** What was last known of a key, fresh or in grace, when the server cannot be asked. */
  stale(key: string): CacheEntry | undefined {
    return this.tier.stale(this.nameOf(key));
  }

  ageing(key: string): Ageing | undefined {
    return this.tier.ageing(this.nameOf(key));
  }

  /** Holds what was made without the server, while there is none. */
  holdAlone(key: string, entry: CacheEntry, value: unknown, ttlMs: number): void {
    this.tier.putAlone(this.nameOf(key), entry, value, ttlMs);
  }

  forget(keys: readonly string[]): void {
    for (const key of keys) {
      this.tier.drop(this.nameOf(key));
      this.looks.forget(key);
      this.reads.forget(key);
      this.refreshes.forget(key);
    }
  }

  /** @param matches decides by full key. In force at once; resolves when no value that it matched is held any more */
  async forgetMatching(matches: (key: string) => boolean, onDrop?: OnDrop): Promise<void> {
    this.looks.forgetMatching(matches);
    this.reads.forgetMatching(matches);
    this.refreshes.forgetMatching(matches);
    const { root } = this.keys;
    await this.tier.dropMatching(
      (name) => matches(root + name),
      (name, isOwn) => onDrop?.(root + name, isOwn),
    );
  }

  /**
   * Somebody changed these on the server, perhaps a factory run of ours: what was held or is being looked at is
   * forgotten. Factories run on for all who ask: whether their value may be stored is a matter of their lease.
   */
  touch(keys: readonly string[]): void {
    for (const key of keys) {
      this.tier.dropStored(this.nameOf(key));
      this.looks.forget(key);
      this.reads.forget(key);
    }
  }

  /** Somebody changed the version of a tag or epoch on the server. */
  touchStamp(key: string): void {
    this.tags.forgetKey(key);
    this.forgetLooks();
  }

  /** Somebody removed everything from the server. */
  touchAll(): void {
    this.tier.clear();
    this.tags.forgetAll();
    this.forgetLooks();
  }

  /** Everything that carries these tags or epochs. */
  forgetStamps(names: readonly string[]): void {
    this.tags.forget(names);
    // What was made without the server does not say which of them it carries.
    this.tier.forgetAlone();
    this.forgetFlights();
  }

  /** Invalidations may be missed from now on: nothing that is held is served, until `trust`. */
  distrust(): void {
    this.tier.trustFor(0);
    this.tags.distrust();
    this.forgetFlights();
  }

  /** Whether this process hears of invalidations. */
  get isTrusted(): boolean {
    return this.tags.isTrusted;
  }

  /** Whether this process has seen these versions, and would have heard if they had changed. */
  knows(names: readonly string[]): boolean {
    return this.tier.isSure && this.isTrusted && this.tags.haveSeen(names);
  }

  /** They are heard of again, after some may have been missed: nothing from before is served, not even as stale. */
  trust(): void {
    if (this.tags.isAway) return;
    this.tier.clear();
    this.tags.trust();
    this.forgetFlights();
  }

  /** A shard is away: none of its keys is served from before, until `rejoin` only what is made here. */
  goAlone(shard: Shard): void {
    if (this.tags.isAway) this.tags.distrust();
    this.tags.look();
    this.forgetFlightsOn(shard);
  }

  /** Nothing that was made without the shard is served any more, and nothing from before until it was compared. */
  rejoin(shard: Shard): void {
    this.tier.forgetAlone();
    if (this.tags.isTrusted && !this.isOnly(shard)) {
      this.tags.forgetOn(shard);
      this.forgetFlightsOn(shard);
      return;
    }
    this.tier.clear();
    this.tags.trust();
    this.distrust();
  }

  /** Resolves when everything that is under way now has ended. */
  async settled(): Promise<void> {
    await Promise.all([this.reads.settled(), this.refreshes.settled()]);
  }

  private isOnly(shard: Shard): boolean {
    return this.tags.shards.every((each) => each === shard);
  }

  private forgetFlightsOn(shard: Shard): void {
    const isOnly = this.isOnly(shard);
    const isThere = (key: string): boolean => isOnly || shard.holds(key);
    this.looks.forgetMatching(isThere);
    this.reads.forgetMatching(isThere);
    this.refreshes.forgetMatching(isThere);
  }

  private forgetLooks(): void {
    this.looks.forgetAll();
    this.reads.forgetAll();
  }

  private forgetFlights(): void {
    this.forgetLooks();
    this.refreshes.forgetAll();
  }
}
