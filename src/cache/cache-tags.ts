import { BoundedMap, bytesOfText } from '../common/bounded-map.ts';
import type { KeySpace } from '../common/keys.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { CacheEntry, Stamps } from './cache-entry.ts';
import type { CacheStore, Notice } from './cache-store.interface.ts';

/** Current versions by stamp name; a name without version has none on the server. */
export type Versions = ReadonlyMap<string, string>;

/** What an entry is worth now: served, served only in grace, or not at all. */
export type Freshness = 'fresh' | 'stale' | 'gone';

const NO_VERSIONS: Versions = new Map();
/** How long a version is remembered at least, whatever the TTL of the entries that carry it. */
const REMEMBER_MS = 24 * 3_600_000;
const MAX_REMEMBERED = { maxEntries: 20_000, maxBytes: 8 * 1024 ** 2 };

interface Remembered {
  readonly version: string;
  readonly untilMs: number;
}

/** A stored name that stands for a longer one: it ends with a SHA-256. */
const HASHED = /#[0-9a-f]{64}$/;
/** How the name of a stamp begins; the copies of an epoch have their place behind it. */
const FAMILY = /^(tag|epoch(\{\d+\})?)/;
const EPOCH = 'epoch';
const OLDEST = '0'.repeat(16);

export const tagStamp = (tag: string): string => `tag:${tag}`;
/** Every entry carries the epoch of each scope that it lies in; `''` is the whole cache. */
export const epochStamp = (scope: string): string => `epoch:${scope}`;
export const isEpoch = (stamp: string): boolean => stamp.startsWith(EPOCH);
/** The copy of an epoch that is kept at a place of the store. */
const epochAt = (place: string, epoch: string): string => EPOCH + place + epoch.slice(EPOCH.length);

/**
 * Tags and epochs as versions: an entry remembers the versions that were current *before* its factory ran, and is valid
 * only while they still are. Invalidating is then one write, however many entries carry the tag, and a factory that
 * began before it can finish whenever it likes.
 *
 * A version is `deleted.expired`, two numbers that only grow; the second is 0 until the first invalidation. A forgotten one is created anew with a number never used
 * before, so losing it makes entries absent and never brings one back.
 */
export class CacheTags {
  /** Grows whenever what is remembered may have become wrong: whoever compared versions before has to compare again. */
  moment = 0;
  /** Whether this process hears of invalidations. */
  isTrusted = true;
  /** Until when a version is sure to be remembered, as far as this process has seen to it. */
  private readonly remembered = new BoundedMap<Remembered>(MAX_REMEMBERED);

  constructor(
    private readonly store: CacheStore,
    private readonly keys: KeySpace,
  ) {}

  /**
   * The stamps that an entry under `key` carries. Where there are several shards an epoch has a copy on each, and an
   * entry carries the one on its own shard: it needs no other. A tag lives on one shard, whose epoch goes along: when
   * that shard has lost data, it may be the last invalidation of the tag.
   */
  placed(key: string, names: readonly string[]): readonly string[] {
    if (this.store.places.length === 1) return names;
    const place = this.store.shardOf(key)?.place ?? '';
    const epochs = names.filter(isEpoch).map((name) => epochAt(place, name));
    return [...new Set([...epochs, ...this.withEpochs(names.filter((name) => !isEpoch(name)))])];
  }

  /** Tags, and the epochs of the shards they live on. */
  withEpochs(tags: readonly string[]): readonly string[] {
    if (this.store.places.length === 1) return tags;
    const epochs = tags.map((tag) => epochAt(this.shardOf(tag)?.place ?? '', epochStamp('')));
    return [...new Set([...tags, ...epochs])];
  }

  /** What has to be changed for these tags and epochs: of an epoch each copy. */
  everywhere(names: readonly string[]): readonly string[] {
    const { places } = this.store;
    if (places.length === 1) return names;
    return names.flatMap((name) => (isEpoch(name) ? places.map((place) => epochAt(place, name)) : [name]));
  }

  /** The epochs whose change invalidates everything on a shard, and everything with a tag that lives there. */
  epochsOn(shard: Shard): readonly string[] {
    return this.everywhere([epochStamp('')]).filter((name) => this.isOn(name, shard));
  }

  get shards(): readonly Shard[] {
    return this.store.shards;
  }

  shardOf(name: string): Shard | undefined {
    return this.store.shardOf(this.keyOf(name));
  }

  isOn(name: string, shard: Shard): boolean {
    return this.store.shards.length === 1 || shard.holds(this.keyOf(name));
  }

  /** No shard can be asked. */
  get isAway(): boolean {
    return !this.store.shards.some(({ isAvailable }) => isAvailable);
  }

  /** The versions that exist now; `known` ones are not asked for again. */
  async current(names: readonly string[], known: Versions = NO_VERSIONS): Promise<Versions> {
    const asked = names.filter((name) => !known.has(name));
    if (asked.length === 0) return known;
    const { moment } = this;
    const versions = await this.store.versions(asked.map((name) => this.keyOf(name)));
    if (moment === this.moment) asked.forEach((name, index) => this.remember(name, versions[index]));
    return extended(known, asked, versions);
  }

  /** The versions for a new entry: missing ones are created, and all are made to outlive it. */
  async capture(names: readonly string[], known: Versions, keepMs: number): Promise<Versions> {
    const untilMs = this.store.now() + keepMs;
    const asked = names.filter((name) => !known.has(name) || !this.outlives(name, untilMs));
    if (asked.length === 0) return known;
    // Twice as long as needed, so that a busy name is seen to only now and then.
    const rememberMs = 2 * Math.max(keepMs, REMEMBER_MS);
    const keys = asked.map((name) => this.keyOf(name));
    const { moment } = this;
    const versions = await this.store.capture(keys, rememberMs);
    const rememberedUntilMs = this.store.now() + rememberMs;
    if (moment === this.moment) asked.forEach((name, index) => this.remember(name, versions[index], rememberedUntilMs));
    return extended(known, asked, versions);
  }

  /** Whether this process has seen all of them, and somebody could have told of a change. */
  haveSeen(names: readonly string[]): boolean {
    for (const name of names) if (!this.remembered.has(name) || !this.isReachable(name)) return false;
    return true;
  }

  /** The versions as this process last saw them. They may be out of date. */
  lastSeen(names: readonly string[]): Versions {
    const versions = new Map<string, string>();
    for (const name of names) {
      const known = this.remembered.get(name);
      if (known !== undefined) versions.set(name, known.version);
    }
    return versions;
  }

  /** The same, if all of them are known to outlive an entry. */
  lastingOf(names: readonly string[], keepMs: number): Versions | undefined {
    const untilMs = this.store.now() + keepMs;
    return names.every((name) => this.outlives(name, untilMs)) ? this.lastSeen(names) : undefined;
  }

  /** Whether these are the current versions, as far as this process can be sure of it. */
  areCurrent(stamps: Stamps): boolean {
    return this.isTrusted && this.areLastSeen(stamps) && stamps.every(([name]) => this.isReachable(name));
  }

  /** Whether these are the versions that this process last saw, however long ago. */
  areLastSeen(stamps: Stamps): boolean {
    for (const [name, version] of stamps) if (this.remembered.get(name)?.version !== version) return false;
    return true;
  }

  /** These were invalidated, here or elsewhere. */
  forget(names: readonly string[]): void {
    for (const name of names) this.remembered.delete(name);
    this.moment++;
  }

  /** The versions on a shard are not known any more. */
  forgetOn(shard: Shard): void {
    this.forget([...this.remembered].flatMap(([name]) => (this.isOn(name, shard) ? [name] : [])));
  }

  /** A shard has gone or come: who compared versions before has to look again whether they can be asked for. */
  look(): void {
    this.moment++;
  }

  /** The server's key of a tag or epoch was changed by somebody; a hashed name could be any of them. */
  forgetKey(key: string): void {
    const name = this.nameOf(key);
    if (!this.remembered.delete(name) && HASHED.test(name)) this.remembered.clear();
    this.moment++;
  }

  /** All of them were removed from the server. */
  forgetAll(): void {
    this.remembered.clear();
    this.moment++;
  }

  /** Invalidations may be missed from now on. */
  distrust(): void {
    if (!this.isTrusted) return;
    this.isTrusted = false;
    this.moment++;
  }

  /** They are heard of again: what was seen before is not worth anything. */
  trust(): void {
    this.remembered.clear();
    this.isTrusted = true;
    this.moment++;
  }

  /** @param through the store to tell, where it is not the usual one */
  async bump(names: readonly string[], mode: 'delete' | 'expire', notice: Notice, through = this.store): Promise<void> {
    const keys = names.map((name) => this.keyOf(name));
    await through.bump(keys, mode, notice);
  }

  /** What `entry` is worth, given the versions of everything it carries. */
  judge(entry: CacheEntry, versions: Versions): Freshness {
    let freshness = this.ageOf(entry);
    for (const [name, version] of entry.stamps) {
      const current = versions.get(name);
      if (current === version) continue;
      if (current?.slice(0, 16) !== version.slice(0, 16)) return 'gone';
      if (freshness === 'fresh') freshness = 'stale';
    }
    return freshness;
  }

  /** What `entry` is worth by its age alone. */
  ageOf({ freshUntilMs, keptUntilMs }: CacheEntry): Freshness {
    const now = this.store.now();
    return now < freshUntilMs ? 'fresh' : now < keptUntilMs ? 'stale' : 'gone';
  }

  /** Whether somebody could have invalidated it, had he wanted to. */
  private isReachable(name: string): boolean {
    const { shards } = this.store;
    return shards.length === 1 ? shards[0]?.isAvailable === true : this.shardOf(name)?.isAvailable === true;
  }

  private outlives(name: string, untilMs: number): boolean {
    return (this.remembered.get(name)?.untilMs ?? 0) >= untilMs;
  }

  private remember(name: string, version: string | undefined, untilMs?: number): void {
    if (version === undefined) return;
    const known = this.remembered.get(name);
    const until = untilMs ?? known?.untilMs ?? 0;
    if (known?.version === version && known.untilMs === until) return;
    this.remembered.set(name, { version, untilMs: until }, bytesOfText(version));
  }

  /** The inverse of `keyOf`, but for a name that was hashed. */
  private nameOf(key: string): string {
    const [family = ''] = FAMILY.exec(key.slice(this.keys.internal('').length)) ?? [];
    const beginning = this.keys.internal(family, '_').length - 1;
    return `${family}:${key.slice(beginning)}`;
  }

  private keyOf(name: string): string {
    const at = name.indexOf(':');
    // The whole cache is a scope without a name.
    return this.keys.internal(name.slice(0, at), name.slice(at + 1) || undefined);
  }
}

export const stampNames = (stamps: Stamps): readonly string[] => stamps.map(([name]) => name);

export const stampsOf = (names: readonly string[], versions: Versions): Stamps =>
  names.flatMap((name) => {
    const version = versions.get(name);
    return version === undefined ? [] : [[name, version] as const];
  });

/** The newest invalidation among these versions, 16 digits: what a lease says its holder has seen. */
export function newestOf(versions: Iterable<string>): string {
  let newest = OLDEST;
  for (const version of versions) {
    const expired = version.slice(17);
    if (expired > newest) newest = expired;
  }
  return newest;
}

/** When a tag or epoch was last invalidated, in milliseconds of the store's clock; 0 when it never was. */
export const bumpedAtMs = (version: string): number => Number(version.slice(17)) / 1_000;

function extended(known: Versions, names: readonly string[], versions: readonly (string | undefined)[]): Versions {
  const all = new Map(known);
  names.forEach((name, index) => {
    const version = versions[index];
    if (version !== undefined) all.set(name, version);
  });
  return all;
}
