import { decode, isJson, parseForeign } from '../common/codec.ts';
import { plainBytes, plainCopy } from '../common/plain-copy.ts';
import type { OperationCounts } from '../common/telemetry.ts';
import type { CacheEntry, Found } from './cache-entry.ts';
import type { CacheJournal } from './cache-journal.ts';
import type { CacheLocal } from './cache-local.ts';
import { Reading } from './cache-looks.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import type { CacheStore } from './cache-store.interface.ts';
import { stampNames, type CacheTags, type Freshness, type Versions } from './cache-tags.ts';

/** A value as one caller may have it; `again` makes a private copy for the next one. */
export interface Copy<T> {
  readonly value: T;
  readonly again: () => T;
}

/** What a look at a key has shown. `distrusted`: the version that is there and must not be served, perhaps because nobody can read it. */
export type Seen<T> =
  | { readonly kind: 'fresh'; readonly copy: Copy<T>; readonly entry?: CacheEntry }
  | { readonly kind: 'stale'; readonly copy: Copy<T>; readonly entry: CacheEntry }
  | { readonly kind: 'missing'; readonly distrusted?: string; readonly isCorrupt?: boolean };

export type Fresh<T> = Extract<Seen<T>, { kind: 'fresh' }>;

export interface Look<T> {
  readonly seen: Seen<T>;
  /** The versions of tags and epochs at that moment. */
  readonly versions: Versions;
  /** The server could not be asked. */
  readonly isAway?: boolean;
}

export const NO_VERSIONS: Versions = new Map();

/** Reads a key and says what it is worth: decoded, with its tags and epochs compared. */
export class CacheReader {
  constructor(
    private readonly store: CacheStore,
    private readonly tags: CacheTags,
    private readonly local: CacheLocal,
    private readonly metrics: CacheMetrics,
    private readonly journal: CacheJournal,
    /** Where trips are counted. */
    private readonly trips: OperationCounts,
    private readonly maxLatencyMs: number,
  ) {}

  begin(key: string): Reading {
    return new Reading(this.store.read(key));
  }

  /** One trip, without the versions that are known here; another one when the entry carries others. */
  async look<T>(key: string, names: readonly string[], reading = this.begin(key)): Promise<Look<T>> {
    const [found, versions] = this.local.knows(names)
      ? [await this.ended(reading), undefined]
      : await Promise.all([this.ended(reading), this.tags.current(names)]);
    if (versions !== undefined) return this.examine(found, versions);
    return this.recognised(found, names) ?? this.examine(found, await this.tags.current(names));
  }

  /** Records how a reading ended, once, however many waited for it. */
  record(reading: Reading, endedAt: number, error?: unknown): void {
    if (reading.isRecorded) return;
    reading.isRecorded = true;
    const ms = endedAt - reading.startedAt;
    this.trips.ended(ms, error);
    if (ms > this.maxLatencyMs) this.metrics.slow++;
  }

  /** Judges by the versions that this process is still sure of; undefined when it is not, or they say no. */
  recognised<T>(found: Found, names: readonly string[]): Look<T> | undefined {
    const { local, tags } = this;
    if (!local.knows(names)) return undefined;
    if (found.kind === 'absent') return { seen: { kind: 'missing' }, versions: tags.lastSeen(names) };
    if (found.kind !== 'entry' || !tags.areLastSeen(found.entry.stamps)) return undefined;
    const seen = this.decoded<T>(found.entry, tags.ageOf(found.entry));
    if (seen.kind === 'fresh') return { seen, versions: NO_VERSIONS };
    return { seen, versions: tags.lastSeen([...names, ...stampNames(found.entry.stamps)]) };
  }

  /** Judges what was found by the versions that are known, and asks for those that are not. */
  async examine<T>(found: Found, known: Versions): Promise<Look<T>> {
    switch (found.kind) {
      case 'absent':
        return { seen: { kind: 'missing' }, versions: known };
      case 'corrupt':
        return { seen: this.corrupt('corrupt'), versions: known };
      case 'foreign':
        return { seen: this.foreign(found.text), versions: known };
      case 'entry': {
        const versions = await this.tags.current(stampNames(found.entry.stamps), known);
        return { seen: this.decoded(found.entry, this.tags.judge(found.entry, versions)), versions };
      }
      default:
        return found satisfies never;
    }
  }

  private async ended(reading: Reading): Promise<Found> {
    try {
      const found = await reading.found;
      this.record(reading, performance.now());
      return found;
    } catch (error) {
      this.record(reading, performance.now(), error);
      throw error;
    }
  }

  private decoded<T>(entry: CacheEntry, freshness: Freshness): Seen<T> {
    if (freshness === 'gone' || this.journal.coversStamps(entry.stamps))
      return { kind: 'missing', distrusted: entry.version };
    try {
      return { kind: freshness, entry, copy: copyOf(entry) };
    } catch {
      return this.corrupt(entry.version);
    }
  }

  private foreign<T>(text: Buffer): Seen<T> {
    const parsed = parseForeign(text);
    if (parsed === undefined) return this.corrupt('corrupt');
    return { kind: 'fresh', copy: { value: parsed.value as T, again: () => parseForeign(text)?.value as T } };
  }

  private corrupt<T>(distrusted: string): Seen<T> {
    this.metrics.corrupt++;
    return { kind: 'missing', distrusted, isCorrupt: true };
  }
}

/** The first copy is decoded at once, so that a payload nobody can read is noticed here. */
export const copyOf = <T>(entry: Pick<CacheEntry, 'codec' | 'payload'>): Copy<T> => ({
  value: decode(entry.codec, entry.payload) as T,
  again: againOf(entry) as () => T,
});

/** Copies for a crowd that waited for the same value: the first one decodes it, the second one for all who follow. */
export function againOf({ codec, payload }: Pick<CacheEntry, 'codec' | 'payload'>): () => unknown {
  let made = 0;
  let master: unknown;
  return () => {
    if (master !== undefined) return plainCopy(master);
    const value = decode(codec, payload);
    if (++made !== 2 || !isJson(codec) || plainBytes(value) === undefined) return value;
    return plainCopy((master = value));
  };
}
