import type { Shard } from '../redis/availability.types.ts';
import type { CacheEntry, EntryDraft, Found } from './cache-entry.ts';

/** Answer to `acquire`: what is there, the lease, or how long the lease of somebody else still lasts. */
export type Acquisition =
  | { readonly kind: 'found'; readonly found: Found }
  | { readonly kind: 'granted'; /** When, on the clock that dates invalidations. */ readonly atMs: number }
  | { readonly kind: 'held'; readonly remainingMs: number };

export interface LeaseRequest {
  /**
   * Proves the lease. Its first 16 characters are the newest version of tags and epochs that the caller has seen:
   * a lease whose holder had seen less is taken over, because its factory began before an invalidation.
   */
  readonly token: string;
  readonly leaseMs: number;
  /** Version of a value that the caller has seen and does not accept, or `'corrupt'` for bytes it could not read. */
  readonly distrusted?: string | undefined;
}

/** Entries that are written together: with the same times and stamps. */
export interface EntryDrafts extends Pick<EntryDraft, 'ttlMs' | 'keepMs' | 'stamps'> {
  readonly entries: readonly { readonly key: string; readonly encoded: Pick<EntryDraft, 'codec' | 'payload'> }[];
}

/** What a key of any type is, for `has`, `ttl` and the error of a wrong type. */
export interface KeyDescription {
  /** As Redis names it: `none`, `string`, `set`, `hash`, `list`, … */
  readonly type: string;
  /** -1 without expiry, -2 without key. */
  readonly pttlMs: number;
}

/** Told to the other processes once a change has happened. */
export type Notice = string;

/** Called when a key that somebody waited for was filled; without entry when it has to be read or computed. */
export type WakeListener = (key: string, entry?: CacheEntry) => void;

/**
 * Where entries live, with the leases that keep factories from running twice and old values from being stored.
 * All keys are full keys. Every method may reject with `StoreUnavailableError` or `OutcomeUnknownError`; what that
 * means is the caller's decision.
 */
export interface CacheStore {
  /** The clock that entries are stamped with, in milliseconds. */
  now(): number;

  /** What can be away by itself: one that holds every key, or the primaries of a cluster, as far as they are known. */
  readonly shards: readonly Shard[];
  /** Undefined while it is not known. */
  shardOf(key: string): Shard | undefined;
  /** The hash tags of every place that a shard may name, see `Shard.place`; one empty one where all keys are in one. */
  readonly places: readonly string[];

  /** A key of another type is absent here; `describe` knows. */
  read(key: string): Promise<Found>;
  /** Current versions of tags and epochs; undefined for one that does not exist. */
  versions(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** The same, but creates what does not exist and keeps all at least `keepMs`. */
  capture(keys: readonly string[], keepMs: number): Promise<readonly string[]>;

  acquire(key: string, request: LeaseRequest): Promise<Acquisition>;
  /** False when the lease is gone. */
  renew(key: string, token: string, leaseMs: number): Promise<boolean>;
  /** Stores only while the lease is still the caller's; false when it is gone. Wakes waiters. */
  fill(key: string, token: string, draft: EntryDraft): Promise<boolean>;
  /**
   * Gives the lease back without a value and wakes waiters. What is there is kept, unless the holder could not read
   * it: `corrupt` is the version of that, or `'corrupt'`.
   */
  abandon(key: string, token: string, corrupt?: string): Promise<void>;

  /** Overwrites, whatever is there, and takes leases away. */
  write(drafts: EntryDrafts, notice: Notice): Promise<void>;
  /** Removes keys of any type, with their leases; how many there were. */
  del(keys: readonly string[], notice: Notice): Promise<number>;
  /** Removes every key that a full glob matches, of all shards or one; how many there were. */
  delPattern(pattern: string, notice: Notice, shard?: Shard): Promise<number>;
  /** Makes entries that carry an older version of these tags or epochs absent (`delete`) or stale (`expire`). */
  bump(keys: readonly string[], mode: 'delete' | 'expire', notice: Notice): Promise<void>;

  describe(key: string): Promise<KeyDescription>;
  /** Gives a key of any type a new time to live; false when there is none. */
  expire(key: string, ttlMs: number, notice: Notice): Promise<boolean>;
  /** Makes entries stale now; they are kept for their grace. How many there were. */
  spoil(keys: readonly string[], notice: Notice): Promise<number>;
}
