import { toMs, type Duration } from '../common/duration.ts';
import { InvalidOptionsError, InvalidTtlError } from '../common/errors.ts';
import { duration, flag, number, oneOf, rule, text, type RulesOf, type Section } from '../common/option-rules.ts';
import { readOptions } from '../common/read-options.ts';
import { CacheMetrics, type CacheCounts } from './cache-metrics.ts';
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
  /** Refreshes in the background once this share of the TTL has passed, 0 to 1; ever more likely towards its end. */
  readonly earlyRefresh?: number;
  /** Share of the TTL taken off at random, 0 to 1. @default 0.1 */
  readonly jitter?: number;
  /** Labels to invalidate the entry by. A function gets the value; static tags are cheaper. */
  readonly tags?: readonly string[] | ((value: T) => readonly string[]);
  /** Whether `null` is a value. `undefined` never is. @default true */
  readonly cacheNull?: boolean;
  /** @default 'cluster' */
  readonly coalesce?: Coalescing;
  /**
   * What a hit in memory hands out: a private copy, or one deeply frozen object that all readers share (fastest).
   * @default 'copy'
   */
  readonly read?: 'copy' | 'frozen';
  /** Where the value is kept: in memory and on the server, or in one of them only. @default 'both' */
  readonly tier?: Tier;
  /** A stored value that it does not accept is a miss: a Standard Schema, such as one of zod or valibot. */
  readonly schema?: StandardSchema;
  /**
   * What the read is counted under in metrics: a name from a closed set, never made of data. 1 to 120 characters.
   * @default the namespace; on a decorated method the class and the method
   */
  readonly name?: string;
}

export type Tier = 'both' | 'l1' | 'l2';

/** What we need of a Standard Schema (https://standardschema.dev). Only whether a value is accepted counts. */
export interface StandardSchema {
  readonly '~standard': {
    readonly validate: (value: unknown) => SchemaVerdict | Promise<SchemaVerdict>;
  };
}
interface SchemaVerdict {
  readonly issues?: readonly unknown[] | undefined;
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
  readonly tagsOf: TagsOf | undefined;
  readonly cacheNull: boolean;
  readonly coalesce: Coalescing;
  readonly isFrozen: boolean;
  readonly earlyRefresh: number | undefined;
  readonly tier: Tier;
  readonly schema: StandardSchema | undefined;
  /** Where the read is counted, if not with its namespace. */
  readonly counts: CacheCounts | undefined;
}

const MAX_TAGS = 64;
const MAX_TAG_LENGTH = 250;
const NO_TAGS: readonly string[] = [];
/** How many different bare TTLs are remembered; a program has a handful. */
const MAX_TTLS = 1_000;

/** A larger bare number was probably meant to be milliseconds. */
const SUSPICIOUS_SECONDS = 30 * 86_400;

const span = duration('0ms', '24855d');
const isTag = (tag: unknown): boolean => typeof tag === 'string' && tag.trim() !== '' && tag.length <= MAX_TAG_LENGTH;
const tagList = rule(
  `a list of at most ${MAX_TAGS} texts of 1 to ${MAX_TAG_LENGTH} characters`,
  (tags): readonly string[] | undefined =>
    Array.isArray(tags) && tags.length <= MAX_TAGS && tags.every(isTag) ? [...new Set<string>(tags)] : undefined,
);
type TagsOf = (value: never) => readonly string[];
const tagListOrFunction = rule(`${tagList.allowed}, or a function`, (tags) =>
  typeof tags === 'function' ? (tags as TagsOf) : tagList.read(tags),
);

const isSchema = (value: unknown): value is StandardSchema =>
  typeof value === 'object' &&
  value !== null &&
  '~standard' in value &&
  typeof (value as StandardSchema)['~standard'].validate === 'function';

/** What `set` allows beside `tags`. */
export const SET_RULES = { ttl: span, grace: span } satisfies RulesOf<Omit<SetOptions, 'tags'>>;

/** What `getOrSet` allows beside `tags`. */
export const GET_OR_SET_RULES = {
  ...SET_RULES,
  staleWhileRevalidate: rule(`true, false or ${span.allowed}`, (value) => flag.read(value) ?? span.read(value)),
  softTimeout: span,
  hardTimeout: span,
  jitter: number(0, 1),
  cacheNull: flag,
  coalesce: oneOf<Coalescing>('cluster', 'process', 'off'),
  earlyRefresh: number(0, 1),
  read: oneOf('copy', 'frozen'),
  tier: oneOf<Tier>('both', 'l1', 'l2'),
  schema: rule('a Standard Schema', (value) => (isSchema(value) ? value : undefined)),
  name: text('a text of 1 to 120 characters', /^[^]{1,120}$/),
} satisfies RulesOf<Omit<GetOrSetOptions, 'tags'>>;

/** A TTL or options of one call, as the caller gave them. */
export type GivenOptions = number | Duration | GetOrSetOptions<never> | undefined;

/** Options of a call as they were when they were resolved. */
interface Remembered {
  readonly given: Readonly<Record<string, unknown>>;
  readonly count: number;
  readonly resolved: ResolvedReadOptions;
}

/** Checks the options of calls and fills in the defaults. What was resolved before is not resolved again. */
export class ReadOptionsResolver {
  private readonly byTtl = new Map<unknown, ResolvedReadOptions>();
  private readonly byObject = new WeakMap<object, Remembered>();

  /**
   * @param warn told once of each bare TTL that looks like milliseconds
   * @param caches where reads with a name of their own are counted
   */
  constructor(
    private readonly defaults: ResolvedCacheOptions,
    private readonly warn: (message: string) => void = () => undefined,
    private readonly caches = new CacheMetrics().caches,
  ) {}

  /** @throws InvalidTtlError for a wrong `ttl`, InvalidOptionsError naming everything else that is wrong */
  forRead(given: GivenOptions): ResolvedReadOptions {
    if (typeof given === 'object') return this.forObject(given);
    const known = this.byTtl.get(given);
    if (known !== undefined) return known;
    const resolved = this.resolve({}, GET_OR_SET_RULES, given);
    if (typeof given === 'number' && given > SUSPICIOUS_SECONDS) {
      this.warn(`A TTL of ${given} is ${given} seconds, over 30 days. Write '${given}ms' if milliseconds were meant`);
    }
    if (this.byTtl.size >= MAX_TTLS) this.byTtl.clear();
    this.byTtl.set(given, resolved);
    return resolved;
  }

  /** @throws InvalidTtlError, InvalidOptionsError */
  forWrite(given: number | Duration | SetOptions | undefined): ResolvedReadOptions {
    return typeof given === 'object' ? this.resolve(given, SET_RULES) : this.forRead(given);
  }

  /** A caller that hands in the same object again usually means the same, but may have changed it. */
  private forObject(given: GetOrSetOptions<never>): ResolvedReadOptions {
    const known = this.byObject.get(given);
    if (known !== undefined && isUnchanged(given as Record<string, unknown>, known)) return known.resolved;
    const resolved = this.resolve(given, GET_OR_SET_RULES);
    const copy = { ...given, tags: typeof given.tags === 'object' ? [...given.tags] : given.tags };
    this.byObject.set(given, { given: copy, count: Object.keys(given).length, resolved });
    return resolved;
  }

  private resolve(
    given: GetOrSetOptions<never>,
    rules: Section,
    ttl: number | Duration | undefined = given.ttl,
  ): ResolvedReadOptions {
    const { defaults } = this;
    const ttlMs = ttl === undefined ? defaults.ttlMs : ttlToMs(ttl, ttl === given.ttl);
    const faults: string[] = [];
    const read = readOptions({ ...given, ttl: undefined }, { ...rules, tags: tagListOrFunction }, faults) as Read;
    if (faults.length > 0) throw new InvalidOptionsError('Wrong cache options', faults);
    const { grace: graceMs = defaults.graceMs, staleWhileRevalidate: window = false, tags = NO_TAGS } = read;
    return {
      ttlMs,
      graceMs,
      revalidateMs: typeof window === 'number' ? window : window ? graceMs : 0,
      softTimeoutMs: read.softTimeout,
      hardTimeoutMs: read.hardTimeout,
      jitter: read.jitter ?? defaults.jitter,
      tags: typeof tags === 'function' ? NO_TAGS : tags,
      tagsOf: typeof tags === 'function' ? tags : undefined,
      cacheNull: read.cacheNull ?? defaults.cacheNull,
      coalesce: read.coalesce ?? defaults.coalesce,
      isFrozen: read.read === 'frozen',
      earlyRefresh: read.earlyRefresh,
      tier: read.tier ?? 'both',
      schema: read.schema,
      counts: read.name === undefined ? undefined : this.caches.of(read.name),
    };
  }
}

/** A bare number says its unit only where the parameter does: in options a TTL is a `Duration`. */
function ttlToMs(ttl: number | Duration, isOption: boolean): number {
  if (isOption && typeof ttl === 'number') {
    throw new InvalidTtlError(`ttl must be a duration such as '30s' inside options; received ${ttl}`);
  }
  return toMs(ttl, 's');
}

function isUnchanged(given: Readonly<Record<string, unknown>>, known: Remembered): boolean {
  let count = 0;
  for (const name in given) {
    if (given[name] !== known.given[name] && !areSameTags(given[name], known.given[name])) return false;
    count++;
  }
  return count === known.count;
}

const areSameTags = (some: unknown, others: unknown): boolean =>
  Array.isArray(some) &&
  Array.isArray(others) &&
  some.length === others.length &&
  some.every((tag, index) => tag === others[index]);

/** Options as their rules read them: durations in milliseconds. */
interface Read {
  readonly grace?: number;
  readonly staleWhileRevalidate?: boolean | number;
  readonly softTimeout?: number;
  readonly hardTimeout?: number;
  readonly jitter?: number;
  readonly cacheNull?: boolean;
  readonly coalesce?: Coalescing;
  readonly read?: 'copy' | 'frozen';
  readonly earlyRefresh?: number;
  readonly tier?: Tier;
  readonly schema?: StandardSchema;
  readonly name?: string;
  readonly tags?: readonly string[] | TagsOf;
}

/** @throws InvalidOptionsError for what is not a list of tags */
export function checkedTags(tags: readonly string[]): readonly string[] {
  const checked = tagList.read(tags);
  if (checked !== undefined) return checked;
  throw new InvalidOptionsError('Wrong cache tags', [`tags: must be ${tagList.allowed}`]);
}

export async function isAccepted(schema: StandardSchema, value: unknown): Promise<boolean> {
  const { issues } = await schema['~standard'].validate(value);
  return issues === undefined;
}
