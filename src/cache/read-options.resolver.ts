import { toMs, type Duration } from '../common/duration.ts';
import { InvalidOptionsError, InvalidTtlError } from '../common/errors.ts';
import type { Section } from '../common/option-rules.ts';
import { assertOptions, readOptions, type ValuesOf } from '../common/read-options.ts';
import { RememberedOptions } from './remembered-options.ts';
import { CacheMetrics, type CacheCounts } from './cache-metrics.ts';
import type { ResolvedCacheOptions } from './cache.options.ts';
import {
  GET_OR_SET_RULES,
  SET_RULES,
  checkedTags,
  tagList,
  tagListOrFunction,
  type Coalescing,
  type GetOrSetOptions,
  type SetOptions,
  type StandardSchema,
  type TagsOf,
  type Tier,
} from './get-or-set.options.ts';

/** `GetOrSetOptions` with every default filled in; durations in milliseconds. */
export interface ResolvedReadOptions {
  readonly ttlMs: number;
  readonly graceMs: number;
  /** How long after the TTL a stale value is answered at once; 0 = never. */
  readonly revalidateMs: number;
  readonly softTimeoutMs: number | undefined;
  readonly hardTimeoutMs: number | undefined;
  readonly jitter: number;
  /** Known before there is a value. */
  readonly tags: readonly string[];
  readonly tagsOf: TagsOf | undefined;
  readonly cacheNull: boolean;
  readonly coalesce: Coalescing;
  readonly isFrozen: boolean;
  readonly earlyRefresh: number | undefined;
  readonly tier: Tier;
  readonly schema: StandardSchema | undefined;
  /** Whether a fresh value in memory is all that is asked for. */
  readonly isServedAtOnce: boolean;
  /** A fresh value on the server is served as it is, and looked for first. */
  readonly isPlain: boolean;
  /** Where the read is counted, if not with its namespace. */
  readonly counts: CacheCounts | undefined;
}

const WRONG = 'Wrong cache options';
const NO_TAGS: readonly string[] = [];
/** How many different bare TTLs are remembered; a program has a handful. */
const MAX_TTLS = 1_000;
/** A larger bare number was probably meant to be milliseconds. */
const SUSPICIOUS_SECONDS = 30 * 86_400;

const CALL_RULES = { ...GET_OR_SET_RULES, tags: tagListOrFunction };
const WRITE_RULES = { ...SET_RULES, tags: tagList };

/** A TTL or options of one call, as the caller gave them. */
export type GivenOptions = number | Duration | Given | undefined;
type Given = GetOrSetOptions<never>;

/** Checks the options of calls and fills in the defaults. What was resolved before is not resolved again. */
export class ReadOptionsResolver {
  private readonly byTtl = new Map<unknown, ResolvedReadOptions>();
  private readonly reads = new RememberedOptions();
  private readonly writes = new RememberedOptions();

  /**
   * @param warn told once of each bare TTL that looks like milliseconds
   * @param caches where reads with a name of their own are counted
   */
  constructor(
    private readonly defaults: ResolvedCacheOptions,
    private readonly warn: (message: string) => void = () => undefined,
    private readonly caches = new CacheMetrics().caches,
  ) {}

  /** What was resolved before, tags left out, for who does not need them; never throws. */
  known(given: GivenOptions): ResolvedReadOptions | undefined {
    return isObject(given) ? this.reads.find(given) : this.byTtl.get(given);
  }

  /** @throws InvalidTtlError for a wrong `ttl`, InvalidOptionsError naming everything else that is wrong */
  forRead(given: GivenOptions): ResolvedReadOptions {
    if (isObject(given)) return this.forObject(given, this.reads, CALL_RULES);
    const known = this.byTtl.get(given);
    if (known !== undefined) return known;
    if (Array.isArray(given)) assertOptions(given, WRONG);
    const resolved = this.resolve({}, CALL_RULES, given);
    if (typeof given === 'number' && given > SUSPICIOUS_SECONDS) {
      this.warn(`A TTL of ${given} is ${given} seconds, over 30 days. Write '${given}ms' if milliseconds were meant`);
    }
    if (this.byTtl.size >= MAX_TTLS) this.byTtl.clear();
    this.byTtl.set(given, resolved);
    return resolved;
  }

  /** @throws InvalidTtlError, InvalidOptionsError */
  forWrite(given: number | Duration | SetOptions | undefined): ResolvedReadOptions {
    return isObject(given) ? this.forObject(given, this.writes, WRITE_RULES) : this.forRead(given);
  }

  /** What is known of these options, with the tags of this call. @throws InvalidOptionsError for wrong tags */
  withTags(known: ResolvedReadOptions, given: GivenOptions): ResolvedReadOptions {
    if (!isObject(given) || given.tags === undefined) return known;
    return { ...known, ...split(checked(given.tags)) };
  }

  private forObject(given: Given, remembered: RememberedOptions, rules: Section): ResolvedReadOptions {
    const known = remembered.find(given);
    if (known !== undefined) return this.withTags(known, given);
    const resolved = this.resolve(given, rules);
    remembered.remember(given, { ...resolved, ...split(this.defaults.tags) });
    return resolved;
  }

  private resolve(given: Given, rules: Section, ttl: number | Duration | undefined = given.ttl): ResolvedReadOptions {
    const { defaults } = this;
    const ttlMs = ttl === undefined ? defaults.ttlMs : ttlToMs(ttl, ttl === given.ttl);
    const faults: string[] = [];
    const read = readOptions({ ...given, ttl: undefined }, rules, faults) as ValuesOf<typeof CALL_RULES>;
    if (faults.length > 0) throw new InvalidOptionsError(WRONG, faults);
    const graceMs = read.grace ?? defaults.graceMs;
    const window = read.staleWhileRevalidate ?? defaults.staleWhileRevalidate;
    const earlyRefresh = unlessNone(read.earlyRefresh ?? defaults.earlyRefresh);
    const coalesce = read.coalesce ?? defaults.coalesce;
    const tier = read.tier ?? defaults.tier;
    const schema = unlessNone(read.schema ?? defaults.schema);
    return {
      ttlMs,
      graceMs,
      revalidateMs: typeof window === 'number' ? window : window ? graceMs : 0,
      softTimeoutMs: unlessNone(read.softTimeout ?? defaults.softTimeoutMs),
      hardTimeoutMs: unlessNone(read.hardTimeout ?? defaults.hardTimeoutMs),
      jitter: read.jitter ?? defaults.jitter,
      ...split(read.tags ?? defaults.tags),
      cacheNull: read.cacheNull ?? defaults.cacheNull,
      coalesce,
      isFrozen: (read.read ?? defaults.read) === 'frozen',
      earlyRefresh,
      tier,
      schema,
      isPlain: coalesce !== 'off' && tier !== 'l1' && schema === undefined,
      isServedAtOnce: earlyRefresh === undefined && schema === undefined,
      counts: read.name === undefined ? undefined : this.caches.of(read.name),
    };
  }
}

/**
 * Callers without types may hand over `null`: that is no TTL, and said to be wrong as one. A list says nothing, as
 * `{}` does, and must not be taken for it.
 */
const isObject = (given: GivenOptions): given is Given =>
  typeof given === 'object' && (given as unknown) !== null && !Array.isArray(given);

const unlessNone = <V>(value: V | false): V | undefined => (value === false ? undefined : value);

/** A bare number says its unit only where the parameter does: in options a TTL is a `Duration`. */
function ttlToMs(ttl: number | Duration, isOption: boolean): number {
  if (isOption && typeof ttl === 'number') {
    throw new InvalidTtlError(`ttl must be a duration such as '30s' inside options; received ${ttl}`);
  }
  return toMs(ttl, 's');
}

type Tags = readonly string[] | TagsOf;

const split = (tags: Tags) =>
  typeof tags === 'function' ? { tags: NO_TAGS, tagsOf: tags } : { tags, tagsOf: undefined };

/** @throws InvalidOptionsError */
const checked = (tags: Tags): Tags => (typeof tags === 'function' ? tags : checkedTags(tags));
