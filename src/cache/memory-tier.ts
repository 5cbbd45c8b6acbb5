import { BoundedMap, type MapLimits } from '../common/bounded-map.ts';
import type { Clock } from '../common/clock.ts';
import { unpack } from '../common/codec.ts';
import { deepFreeze } from '../common/deep-freeze.ts';
import { flatText } from '../common/flat-text.ts';
import { plainBytes, plainCopy } from '../common/plain-copy.ts';
import type { CacheEntry, Stamps } from './cache-entry.ts';
import type { CacheTags } from './cache-tags.ts';
import type { Ageing } from './early-refresh.ts';
import { decoded, HELD_BYTES, type HeldEntry, OWN, payloadOf, sizeOf } from './held-entry.ts';
import { TierSweeps } from './tier-sweeps.ts';

export interface MemoryTierOptions extends MapLimits {
  /** How long an entry is served before the server is asked again. */
  readonly ttlMs: number;
}

/** How long what is kept is fresh, and served. */
interface Keeping extends Pick<HeldEntry, 'aloneIn'> {
  readonly freshMs: number;
  readonly servedMs: number;
}

/** Told of an entry that was dropped, and whether it was kept nowhere else. */
export type OnDrop = (key: string, isOwn: boolean) => void;

/**
 * L1: entries in this process, in front of the store. A read is synchronous and does no I/O; it serves only what is
 * fresh, and only while this process is sure to hear of invalidations (`trustFor`).
 */
export class MemoryTier {
  private readonly held: BoundedMap<HeldEntry>;
  private readonly startedAt: number;
  /** The stamps that were kept last: most entries carry the same ones. */
  private stamps: Stamps = [];
  private trustedUntilMs = 0;
  /** Grows when what was made alone is not to be served any more. */
  private alone = 1;
  private readonly sweeps: TierSweeps;

  /** @param clock may lag a little: it is looked at on every read */
  constructor(
    private readonly options: MemoryTierOptions,
    private readonly tags: CacheTags,
    private readonly clock: Clock,
    private readonly storeNow: () => number,
    onEvict?: () => unknown,
    /** Whether the server of a key is away: of such a key this process serves only what it makes itself. */
    private readonly isAway: (key: string) => boolean = () => false,
  ) {
    this.held = new BoundedMap(options, onEvict);
    this.sweeps = new TierSweeps(this.held);
    this.startedAt = clock.now();
  }

  get entries(): number {
    return this.held.size;
  }

  get bytes(): number {
    return this.held.bytes;
  }

  /** Whether every invalidation up to now has been heard of, as far as time tells. */
  get isSure(): boolean {
    return this.trustedUntilMs > this.now();
  }

  /** A fresh value, or undefined: a private copy, or with `isFrozen` one that all readers share if it can be frozen. */
  read(key: string, isFrozen: boolean): unknown {
    const held = this.served(key);
    if (held === undefined) return undefined;
    if (held.primitive !== undefined) return held.primitive;
    if (isFrozen) return held.frozen ?? this.freeze(key, held);
    return held.master === undefined ? this.copy(key, held) : plainCopy(held.master);
  }

  /** The bytes of a fresh entry as they are held, the same ones for every reader: not to be changed. */
  payload(key: string): string | Buffer | undefined {
    const held = this.served(key);
    return held && payloadOf(held);
  }

  /** The entry of a key while it is kept, unless it is known to be invalidated; whether it is fresh or served or not. */
  stale(key: string): CacheEntry | undefined {
    const entry = this.kept(key);
    return entry !== undefined && this.tags.areLastSeen(entry.stamps) ? entry : undefined;
  }

  /** The entry of a key while it is kept, whatever has become of its tags. */
  kept(key: string): CacheEntry | undefined {
    const held = this.held.peek(key);
    if (held === undefined || held.aloneIn > 0 || held.keptUntilMs <= this.now()) return undefined;
    if (this.sweeps.concern(key, held)) return undefined;
    const { startedAt } = this;
    const times = { freshUntilMs: startedAt + held.freshUntilMs, keptUntilMs: startedAt + held.keptUntilMs };
    const { codec, stamps, costMs } = held;
    return { codec, payload: payloadOf(held), stamps, costMs, ...times, version: '' };
  }

  /** How long the entry of a key is still fresh; undefined when there is none. */
  ageing(key: string): Ageing | undefined {
    const held = this.held.peek(key);
    return held && { remainingMs: held.freshUntilMs - this.now(), costMs: held.costMs };
  }

  /** Keeps what the store was found to hold, or what was stored. */
  put(key: string, entry: CacheEntry, value: unknown): void {
    const freshMs = this.freshMsOf(entry);
    this.putKnown(key, entry, value, { freshMs, servedMs: Math.min(freshMs, this.options.ttlMs), aloneIn: 0 });
  }

  /** Keeps what is kept nowhere else: there is nobody to ask before it is stale. */
  putOwn(key: string, entry: CacheEntry, value: unknown): void {
    const freshMs = this.freshMsOf(entry);
    this.putKnown(key, entry, value, { freshMs, servedMs: freshMs, aloneIn: OWN });
  }

  /** The entry of a key that is served and kept nowhere else. */
  own(key: string): CacheEntry | undefined {
    return this.served(key)?.aloneIn === OWN ? this.kept(key) : undefined;
  }

  /** Keeps a value that was made without the server, for this process only. */
  putAlone(key: string, entry: CacheEntry, value: unknown, ttlMs: number): void {
    if (this.isAway(key)) this.keep(key, entry, value, { freshMs: ttlMs, servedMs: ttlMs, aloneIn: this.alone });
  }

  has(key: string): boolean {
    return this.held.has(key);
  }

  *keys(): IterableIterator<string> {
    for (const [key] of this.held) yield key;
  }

  drop(key: string): void {
    this.held.delete(key);
  }

  /** Drops what the server holds, too. What is kept nowhere else does not change with what is there. */
  dropStored(key: string): void {
    if (this.held.peek(key)?.aloneIn !== OWN) this.held.delete(key);
  }

  /**
   * Takes effect at once, for what is held now; a large memory is looked through in slices, so that others have their
   * turn. Resolves to how many entries matched.
   * @param onDrop told of each that was still kept, and whether that was nowhere else
   */
  async dropMatching(matches: (key: string) => boolean, onDrop?: OnDrop): Promise<number> {
    // What was checked before has to be checked again when it is read.
    this.tags.look();
    return this.sweeps.drop(matches, this.tags.moment, (key, { aloneIn, keptUntilMs }) => {
      if (keptUntilMs > this.now()) onDrop?.(key, aloneIn === OWN);
    });
  }

  clear(): void {
    this.held.clear();
  }

  /** Invalidations are sure to be heard of for so long; `Infinity` where there is nobody to hear of. */
  trustFor(ms: number): void {
    this.trustedUntilMs = this.now() + ms;
  }

  /** Nothing that was made without the server until now is served any more. */
  forgetAlone(): void {
    this.alone++;
  }

  private served(key: string): HeldEntry | undefined {
    const held = this.held.get(key);
    if (held === undefined || (held.checkedAt !== this.tags.moment && !this.isStillValid(key, held))) return undefined;
    const now = this.now();
    return held.servedUntilMs <= now || (this.trustedUntilMs <= now && held.aloneIn <= 0) ? undefined : held;
  }

  private freeze(key: string, held: HeldEntry): unknown {
    const value = decoded(held);
    this.keepParsed(key, held, value);
    if (deepFreeze(value)) held.frozen = value;
    return value;
  }

  private copy(key: string, held: HeldEntry): unknown {
    const value = decoded(held);
    if (held.copying === 'first') held.copying = 'again';
    else if (held.copying === 'again') {
      if (this.keepParsed(key, held, value)) return plainCopy((held.master = value));
      held.copying = 'parse';
    }
    return value;
  }

  /** What is read again is worth its parsed form: it takes more room than its text, but a tenth of the time to copy. */
  private keepParsed(key: string, held: HeldEntry, value: unknown): boolean {
    const bytes = held.isPlainJson ? plainBytes(value) : undefined;
    if (bytes === undefined || !this.held.grow(key, bytes - sizeOf(held.payload))) return false;
    held.payload = '';
    return true;
  }

  /** The store's clock may differ from this process's: what counts is how long the entry still lives. */
  private freshMsOf({ freshUntilMs }: CacheEntry): number {
    return freshUntilMs - this.storeNow();
  }

  private putKnown(key: string, entry: CacheEntry, value: unknown, keeping: Keeping): void {
    if (this.options.maxEntries > 0 && !this.isAway(key)) this.keep(key, entry, value, keeping);
  }

  private keep(key: string, entry: CacheEntry, value: unknown, { freshMs, servedMs, aloneIn }: Keeping): void {
    const now = this.now();
    const { codec, payload, stamps, costMs, freshUntilMs, keptUntilMs } = entry;
    const unpacked = unpack(codec, payload);
    // Field by field: what is spread may get a shape of its own, and a hit that meets many shapes takes five times as long.
    const held: HeldEntry = {
      codec: unpacked.codec,
      payload: unpacked.payload,
      isPlainJson: unpacked.isPlainJson,
      stamps: this.shared(stamps),
      costMs: Math.round(costMs),
      freshUntilMs: Math.round(now + freshMs),
      keptUntilMs: Math.round(now + freshMs + keptUntilMs - freshUntilMs),
      servedUntilMs: Math.round(now + servedMs),
      aloneIn,
      primitive: value === null || typeof value !== 'object' ? value : undefined,
      frozen: undefined,
      master: undefined,
      copying: 'first',
      checkedAt: this.tags.moment,
    };
    this.held.set(flatText(key), held, sizeOf(unpacked.payload) + HELD_BYTES);
  }

  private now(): number {
    return this.clock.now() - this.startedAt;
  }

  private shared(stamps: Stamps): Stamps {
    if (!areEqual(stamps, this.stamps)) this.stamps = stamps;
    return this.stamps;
  }

  private isStillValid(key: string, held: HeldEntry): boolean {
    if (this.sweeps.concern(key, held)) return false;
    const isAlone = held.aloneIn > 0;
    if (isAlone && (held.aloneIn !== this.alone || !this.isAway(key))) return false;
    if (!isAlone && !this.tags.areCurrent(held.stamps)) return false;
    held.checkedAt = this.tags.moment;
    return true;
  }
}

const areEqual = (some: Stamps, other: Stamps): boolean =>
  some.length === other.length &&
  some.every(([name, version], index) => other[index]?.[0] === name && other[index][1] === version);
