import { parseDuration, toMs, type Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import type { Coalescing, ResolvedCacheOptions } from './cache.options.ts';

/** How one value is read, computed and kept. Whatever is left out comes from the module's `cache` options. */
export interface GetOrSetOptions<T = unknown> {
  /** How long the value is fresh; 0 does not store it. @default '5m' */
  readonly ttl?: Duration;
  /** How long after the TTL a stale value may still be served when the factory fails or is slow. @default '0s' */
  readonly grace?: Duration;
  /**
   * Answers a stale value at once and refreshes it in the background, one refresh per key in the whole cluster:
   * `true` during the whole grace, a duration for its own window. @default false
   */
  readonly staleWhileRevalidate?: boolean | Duration;
  /** In grace: waits this long for the factory, then answers stale while the factory goes on. */
  readonly softTimeout?: Duration;
  /** After this the call fails with `FactoryTimeoutError`, or answers stale in grace; `context.signal` aborts. */
  readonly hardTimeout?: Duration;
  /** Share of the TTL taken off at random, 0 to 1. @default 0.1 */
  readonly jitter?: number;
  /** Labels to invalidate the entry by. A function gets the value; static tags are cheaper. */
  readonly tags?: readonly string[] | ((value: T) => readonly string[]);
  /** Whether `null` is a value. `undefined` never is. @default true */
  readonly cacheNull?: boolean;
  /** @default 'cluster' */
  readonly coalesce?: Coalescing;
}

/** How one value is written. */
export type SetOptions = Pick<GetOrSetOptions, 'ttl' | 'grace'> & { readonly tags?: readonly string[] };

/** `GetOrSetOptions` with every default filled in; durations in milliseconds. */
export interface ResolvedReadOptions {
  readonly ttlMs: number;
  readonly graceMs: number;
  /** How long after the TTL a stale value is answered at once; 0 = never. */
  readonly revalidateMs: number;
  readonly softTimeoutMs: number | undefined;
  readonly hardTimeoutMs: number | undefined;
  readonly jitter: number;
  readonly tags: readonly string[];
  readonly tagsOf: ((value: never) => readonly string[]) | undefined;
  readonly cacheNull: boolean;
  readonly coalesce: Coalescing;
}

const NAMES: ReadonlySet<string> = new Set<keyof GetOrSetOptions>([
  'ttl',
  'grace',
  'staleWhileRevalidate',
  'softTimeout',
  'hardTimeout',
  'jitter',
  'tags',
  'cacheNull',
  'coalesce',
]);
const COALESCING: ReadonlySet<unknown> = new Set<Coalescing>(['cluster', 'process', 'off']);
const MAX_TAGS = 64;
const MAX_TAG_LENGTH = 250;
const NO_TAGS: readonly string[] = [];

/**
 * Checks the options of one call and fills in the defaults.
 * @throws InvalidTtlError for a wrong `ttl`, InvalidOptionsError naming everything else that is wrong
 */
export function resolveReadOptions(
  given: number | Duration | GetOrSetOptions<never> | undefined,
  defaults: ResolvedCacheOptions,
): ResolvedReadOptions {
  const options: GetOrSetOptions<never> = typeof given === 'object' ? given : {};
  const ttlMs = resolveTtl(typeof given === 'object' ? given.ttl : given, defaults.ttlMs);
  const faults: string[] = Object.keys(options)
    .filter((name) => !NAMES.has(name))
    .map((name) => `${name}: unknown option`);
  const duration = (name: 'grace' | 'softTimeout' | 'hardTimeout'): number | undefined => {
    const value = options[name];
    if (value === undefined) return undefined;
    const ms = parseDuration(value);
    if (ms === undefined) faults.push(`${name}: must be a duration such as '30s'; received ${describe(value)}`);
    return ms;
  };
  const graceMs = duration('grace') ?? defaults.graceMs;
  const resolved: ResolvedReadOptions = {
    ttlMs,
    graceMs,
    revalidateMs: resolveRevalidate(options.staleWhileRevalidate, graceMs, faults),
    softTimeoutMs: duration('softTimeout'),
    hardTimeoutMs: duration('hardTimeout'),
    jitter: options.jitter ?? defaults.jitter,
    tags: typeof options.tags === 'function' ? NO_TAGS : resolveTags(options.tags, faults),
    tagsOf: typeof options.tags === 'function' ? options.tags : undefined,
    cacheNull: options.cacheNull ?? defaults.cacheNull,
    coalesce: options.coalesce ?? defaults.coalesce,
  };
  if (!(resolved.jitter >= 0 && resolved.jitter <= 1)) {
    faults.push(`jitter: must be a number from 0 to 1; received ${describe(resolved.jitter)}`);
  }
  if (!COALESCING.has(resolved.coalesce)) {
    faults.push(`coalesce: must be 'cluster', 'process' or 'off'; received ${describe(resolved.coalesce)}`);
  }
  if (typeof resolved.cacheNull !== 'boolean') {
    faults.push(`cacheNull: must be true or false; received ${describe(resolved.cacheNull)}`);
  }
  if (faults.length > 0) throw new InvalidOptionsError('Wrong cache options', faults);
  return resolved;
}

/** @throws InvalidOptionsError for tags that are not non-blank text, or too many of them */
export function checkedTags(tags: readonly string[]): readonly string[] {
  const faults: string[] = [];
  const checked = resolveTags(tags, faults);
  if (faults.length > 0) throw new InvalidOptionsError('Wrong cache tags', faults);
  return checked;
}

function resolveTtl(ttl: unknown, defaultMs: number): number {
  return ttl === undefined ? defaultMs : toMs(ttl as number | Duration, 's');
}

/** A window of its own makes the value kept that long, so it also is the least grace. */
function resolveRevalidate(window: unknown, graceMs: number, faults: string[]): number {
  if (window === undefined || window === false) return 0;
  if (window === true) return graceMs;
  const ms = typeof window === 'string' ? parseDuration(window) : undefined;
  if (ms === undefined) {
    faults.push(`staleWhileRevalidate: must be true, false or a duration; received ${describe(window)}`);
  }
  return ms ?? 0;
}

function resolveTags(tags: readonly unknown[] | undefined, faults: string[]): readonly string[] {
  if (tags === undefined) return NO_TAGS;
  if (!Array.isArray(tags)) {
    faults.push(`tags: must be a list of texts; received ${describe(tags)}`);
    return NO_TAGS;
  }
  if (tags.length > MAX_TAGS) faults.push(`tags: must be at most ${MAX_TAGS}; received ${tags.length}`);
  const wrong = tags.find((tag) => typeof tag !== 'string' || tag.trim() === '' || tag.length > MAX_TAG_LENGTH);
  if (wrong !== undefined || tags.includes(undefined)) {
    faults.push(`tags: each must be a non-blank text of at most ${MAX_TAG_LENGTH} characters`);
  }
  return [...new Set(tags as readonly string[])];
}

const describe = (value: unknown): string => (typeof value === 'string' ? `'${value.slice(0, 40)}'` : typeof value);
