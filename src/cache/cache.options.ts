import type { Duration } from '../common/duration.ts';
import { as, duration, flag, integer, number, oneOf, size, type RulesOf } from '../common/option-rules.ts';
import {
  READ_RULES,
  tagList,
  type Coalescing,
  type GetOrSetOptions,
  type StandardSchema,
  type Tier,
} from './get-or-set.options.ts';

/** Bounds of the memory tier; in memory mode, bounds of the whole cache. */
export interface MemoryTierOptions {
  /** How many entries are kept. @default 10000 */
  readonly maxEntries?: number;
  /** How many bytes keys, values and overhead may take: a number of bytes, or `'64mb'`. @default '64mb' */
  readonly maxBytes?: number | string;
  /** How long an entry may be served from memory before the server is asked again. @default '60s' */
  readonly ttl?: Duration;
}

/** How the memory of this process hears what changes on the server. */
export type Coherence = 'pubsub' | 'tracking';

/** Defaults of every call and decorator, and what bounds the cache. */
export interface CacheOptions extends Omit<GetOrSetOptions, 'tags' | 'name'> {
  /** Labels of every entry whose call names none of its own. @default [] */
  readonly tags?: readonly string[];
  /** `false`: `getOrSet` and `@Cacheable` always run the factory; everything else stays on. @default true */
  readonly enabled?: boolean;
  /** Share of keys, by a stable hash, that is cached: gradual roll-out. 0 to 100. @default 100 */
  readonly rolloutPercent?: number;
  readonly l1?: MemoryTierOptions;
  /**
   * How memory hears what changes on the server: `'pubsub'`, what this package does in other processes; `'tracking'`,
   * also what any other client writes or removes, expiry and `FLUSHALL` (`CLIENT TRACKING`, one more connection per
   * primary). @default 'pubsub'
   */
  readonly coherence?: Coherence;
  /** How many keys travel in one command of a batch call. 1 to 10000. @default 100 */
  readonly batchSize?: number;
  /** Whether `warm()` loads anything. @default true */
  readonly warmup?: boolean;
  /** Values over this size are returned but not stored: a number of bytes, or `'1mb'`. @default '1mb' */
  readonly maxValueBytes?: number | string;
  /** Payloads over this size are compressed when that shrinks them: a number of bytes, or `'32kb'`. @default '32kb' */
  readonly compressAbove?: number | string;
  /** An operation slower than this is counted as slow. @default '100ms' */
  readonly maxLatency?: Duration;
}

/** `CacheOptions` with every default filled in; durations in milliseconds, sizes in bytes. */
export interface ResolvedCacheOptions {
  readonly enabled: boolean;
  readonly rolloutPercent: number;
  readonly ttlMs: number;
  readonly graceMs: number;
  /** A number is a window of its own, in milliseconds. */
  readonly staleWhileRevalidate: boolean | number;
  readonly softTimeoutMs: number | false;
  readonly hardTimeoutMs: number | false;
  readonly earlyRefresh: number | false;
  readonly jitter: number;
  readonly tags: readonly string[];
  readonly cacheNull: boolean;
  readonly coalesce: Coalescing;
  readonly coherence: Coherence;
  readonly read: 'copy' | 'frozen';
  readonly tier: Tier;
  readonly schema: StandardSchema | false;
  readonly l1: { readonly maxEntries: number; readonly maxBytes: number; readonly ttlMs: number };
  readonly batchSize: number;
  readonly warmup: boolean;
  readonly maxValueBytes: number;
  readonly compressAboveBytes: number;
  readonly maxLatencyMs: number;
}

export const CACHE_DEFAULTS: ResolvedCacheOptions = {
  enabled: true,
  rolloutPercent: 100,
  ttlMs: 300_000,
  graceMs: 0,
  staleWhileRevalidate: false,
  softTimeoutMs: false,
  hardTimeoutMs: false,
  earlyRefresh: false,
  jitter: 0.1,
  tags: [],
  cacheNull: true,
  coalesce: 'cluster',
  coherence: 'pubsub',
  read: 'copy',
  tier: 'both',
  schema: false,
  l1: { maxEntries: 10_000, maxBytes: 64 * 1024 ** 2, ttlMs: 60_000 },
  batchSize: 100,
  warmup: true,
  maxValueBytes: 1024 ** 2,
  compressAboveBytes: 32 * 1024,
  maxLatencyMs: 100,
};

export const CACHE_RULES = {
  ...READ_RULES,
  tags: tagList,
  ttl: as('ttlMs', duration('1ms', '365d')),
  grace: as('graceMs', duration('0ms', '365d')),
  softTimeout: as('softTimeoutMs', READ_RULES.softTimeout),
  hardTimeout: as('hardTimeoutMs', READ_RULES.hardTimeout),
  enabled: flag,
  rolloutPercent: number(0, 100),
  coherence: oneOf('pubsub', 'tracking'),
  l1: {
    maxEntries: integer(1, 10_000_000),
    maxBytes: size('64kb', '64gb'),
    ttl: as('ttlMs', duration('1ms', '1d')),
  },
  batchSize: integer(1, 10_000),
  warmup: flag,
  maxValueBytes: size('1kb', '512mb'),
  compressAbove: as('compressAboveBytes', size('0b', '512mb')),
  maxLatency: as('maxLatencyMs', duration('1ms', '10m')),
} satisfies RulesOf<CacheOptions>;
