import { encode, type CodecOptions, type Encoded } from '../common/codec.ts';
import { isSerializationError, isStoreFailure } from '../common/errors.ts';
import type { EntryDraft, Stamps } from './cache-entry.ts';
import type { Produced } from './cache-factory.ts';
import type { Lease } from './cache-lease.ts';
import type { CacheMetrics } from './cache-metrics.ts';
import { copyOf, type Copy, type Seen } from './cache-reader.ts';
import { bumpedAtMs, stampNames, stampsOf, tagStamp, type CacheTags, type Versions } from './cache-tags.ts';
import type { ResolvedReadOptions } from './get-or-set.options.ts';

/** What the holder of a key has in hand while it computes. Without a lease nothing is stored. */
export interface Held {
  readonly lease: Lease | undefined;
  /** The versions of tags and epochs from before the factory ran. */
  readonly versions: Versions;
}

type ProducedValue<T> = Extract<Produced<T>, { kind: 'value' }>;

/** Stores what factories make, or says why not; the caller has the value either way. */
export class CacheKeeper {
  constructor(
    private readonly tags: CacheTags,
    private readonly metrics: CacheMetrics,
    private readonly codec: CodecOptions,
  ) {}

  /** A new value: stored unless it may not be, cannot be, or was invalidated while it was computed. */
  async keep<T>(
    { value, ttlMs, costMs, tags, isStorable }: ProducedValue<T>,
    names: readonly string[],
    options: ResolvedReadOptions,
    held: Held,
  ): Promise<Copy<T>> {
    // Before anything is awaited: the caller may change its value as soon as it has it.
    const encoded = isStorable ? this.encoded(value) : undefined;
    const copy: Copy<T> = { value, again: encoded === undefined ? () => value : copyOf<T>(encoded).again };
    const stamps = encoded && (await this.stamps(names, tags, ttlMs, held));
    if (encoded === undefined || stamps === undefined) await held.lease?.abandon();
    else await this.fill(held, { ...encoded, ...lifetime(ttlMs, options), costMs, stamps });
    return copy;
  }

  /** The stale value again, fresh from now on. */
  async renew<T>(seen: Seen<T>, ttlMs: number, options: ResolvedReadOptions, held: Held): Promise<Copy<T>> {
    if (seen.kind !== 'stale') throw new Error('There is no stale value to keep');
    const { codec, payload, costMs, stamps } = seen.entry;
    const current = stampsOf(stampNames(stamps), held.versions);
    await this.fill(held, { codec, payload, costMs, stamps: current, ...lifetime(ttlMs, options) });
    return seen.copy;
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
    ttlMs: number,
    { lease, versions }: Held,
  ): Promise<Stamps | undefined> {
    if (tags.length === 0) return stampsOf(names, versions);
    const told = tags.map(tagStamp);
    const late = told.filter((name) => !versions.has(name));
    try {
      const known = await this.tags.current(late, versions);
      if (lease === undefined || late.some((name) => bumpedAtMs(known.get(name) ?? '') >= lease.atMs)) {
        this.metrics.rejectedFills++;
        return undefined;
      }
      // Some may be known from the entry that is replaced; the new one carries them all the same.
      return stampsOf([...new Set([...names, ...told])], await this.tags.capture(told, known, ttlMs));
    } catch (error) {
      this.forgive(error);
      return undefined;
    }
  }

  private async fill({ lease }: Held, draft: EntryDraft): Promise<void> {
    if (lease === undefined) return;
    try {
      if (await lease.fill(draft)) this.metrics.sets++;
      else this.metrics.rejectedFills++;
    } catch (error) {
      this.forgive(error);
    }
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
