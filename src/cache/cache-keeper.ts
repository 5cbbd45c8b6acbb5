import { encode, type CodecOptions, type Encoded } from '../common/codec.ts';
import { isSerializationError, isStoreFailure } from '../common/errors.ts';
import type { CacheEntry, EntryDraft, Stamps } from './cache-entry.ts';
import type { Produced } from './cache-factory.ts';
import type { Lease } from './cache-lease.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import { againOf, type Copy, type Seen } from './cache-reader.ts';
import { bumpedAtMs, stampNames, stampsOf, tagStamp, type CacheTags, type Versions } from './cache-tags.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

/** What the holder of a key has in hand while it computes. Without a lease nothing is stored. */
export interface Held {
  readonly lease: Lease | undefined;
  /** Whether the value is for this process only, as the caller wants it. */
  readonly isLocal?: boolean;
  /** The versions of tags and epochs from before the factory ran. */
  readonly versions: Versions;
}

/** A value with its entry, as far as it may be kept in memory too. */
export interface Kept<T> {
  readonly copy: Copy<T>;
  readonly entry: CacheEntry | undefined;
}

type ProducedValue<T> = Extract<Produced<T>, { kind: 'value' }>;

/** Stores what factories make, or says why not; the caller has the value either way. */
export class CacheKeeper {
  constructor(
    private readonly tags: CacheTags,
    private readonly metrics: CacheMetrics,
    private readonly codec: CodecOptions,
    private readonly now: () => number,
  ) {}

  /** A new value: stored unless it may not be, cannot be, or was invalidated while it was computed. */
  async keep<T>(
    { value, ttlMs, costMs, tags, isStorable }: ProducedValue<T>,
    names: readonly string[],
    options: ResolvedReadOptions,
    held: Held,
  ): Promise<Kept<T>> {
    // Before anything is awaited: the caller may change its value as soon as it has it.
    const encoded = isStorable ? this.encoded(value) : undefined;
    const copy: Copy<T> = { value, again: encoded === undefined ? () => value : (againOf(encoded) as () => T) };
    const times = lifetime(ttlMs, options);
    const stamps = encoded && (await this.stamps(names, tags, times.keepMs, held));
    if (encoded === undefined || stamps === undefined) {
      await held.lease?.abandon();
      return { copy, entry: undefined };
    }
    const entry = await this.fill(held, { costMs, stamps, ...times, ...encoded });
    return { copy, entry };
  }

  /** The stale value again, fresh from now on. */
  async renew<T>(seen: Seen<T>, ttlMs: number, options: ResolvedReadOptions, held: Held): Promise<Kept<T>> {
    if (seen.kind !== 'stale') throw new Error('There is no stale value to keep');
    const { codec, payload, costMs, stamps } = seen.entry;
    const current = stampsOf(stampNames(stamps), held.versions);
    const draft = { codec, payload, costMs, stamps: current, ...lifetime(ttlMs, options) };
    return { copy: seen.copy, entry: await this.fill(held, draft) };
  }

  /** @throws SerializationError; undefined for a value over the size limit, which is counted */
  encode(value: unknown): Encoded | undefined {
    const encoded = encode(value, this.codec);
    if (encoded.codec !== undefined) return encoded;
    this.metrics.oversize++;
    return undefined;
  }

  private encoded(value: unknown): Encoded | undefined {
    try {
      return this.encode(value);
    } catch (error) {
      if (!isSerializationError(error)) throw error;
      this.metrics.unstorable++;
      return undefined;
    }
  }

  /**
   * The stamps of the new entry. Tags that only the value could tell are looked up now, after the factory: one that
   * was invalidated since the lease was granted may have invalidated this very value, which is then not stored.
   */
  private async stamps(
    names: readonly string[],
    tags: readonly string[],
    keepMs: number,
    { lease, versions }: Held,
  ): Promise<Stamps | undefined> {
    if (tags.length === 0 || lease === undefined) return stampsOf(names, versions);
    const told = this.tags.withEpochs(tags.map(tagStamp));
    const late = told.filter((name) => !versions.has(name));
    try {
      // Of a tag that the replaced entry carried, what counts is the version from before the factory.
      const known = new Map([...(await this.tags.capture(told, versions, keepMs)), ...versions]);
      if (late.every((name) => bumpedAtMs(known.get(name) ?? '') < lease.atMs)) {
        return stampsOf([...new Set([...names, ...told])], known);
      }
      this.metrics.rejectedFills++;
    } catch (error) {
      this.forgive(error);
    }
    return undefined;
  }

  /** The entry, unless the key was invalidated meanwhile. Without a lease it is for this process only. */
  private async fill({ lease }: Held, draft: EntryDraft): Promise<CacheEntry | undefined> {
    if (lease === undefined) return this.entryOf(draft);
    try {
      if (await lease.fill(draft)) {
        this.metrics.sets++;
        return this.entryOf(draft);
      }
      this.metrics.rejectedFills++;
    } catch (error) {
      this.forgive(error);
    }
    return undefined;
  }

  /** What the store has made of a draft; its version is of no use to who does not look there. */
  entryOf({ ttlMs, keepMs, ...draft }: EntryDraft): CacheEntry {
    const now = this.now();
    return { version: '', freshUntilMs: now + ttlMs, keptUntilMs: now + keepMs, ...draft };
  }

  /** The value is there, so a server that cannot be asked is no reason to fail. */
  private forgive(error: unknown): void {
    if (!isStoreFailure(error)) throw error;
    this.metrics.errors++;
  }
}

/** How long an entry is kept on behalf of these options, from the moment it is written. */
export const lifetime = (ttlMs: number, { graceMs, revalidateMs }: ResolvedReadOptions) => ({
  ttlMs,
  keepMs: ttlMs + Math.max(graceMs, revalidateMs),
});
