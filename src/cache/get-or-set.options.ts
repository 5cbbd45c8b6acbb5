import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { duration, flag, number, oneOf, type Rule, rule, text, type RulesOf } from '../common/option-rules.ts';

/**
 * How one value is read, computed and kept. Whatever is left out comes from the module's `cache` options; `false` takes
 * back what they switch on.
 */
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
  /** In grace: waits this long for the factory, then answers stale while the factory goes on. @default false */
  readonly softTimeout?: Duration | false;
  /** After this the call fails with `FactoryTimeoutError`, or answers stale in grace; `context.signal` aborts. @default false */
  readonly hardTimeout?: Duration | false;
  /**
   * Refreshes in the background once this share of the TTL has passed, 0 to 1; ever more likely towards its end.
   * @default false
   */
  readonly earlyRefresh?: number | false;
  /** Share of the TTL taken off at random, 0 to 1. @default 0.1 */
  readonly jitter?: number;
  /** Labels to invalidate the entry by. A function gets the value; static tags are cheaper. @default [] */
  readonly tags?: readonly string[] | ((value: T) => readonly string[]);
  /** Whether `null` is a value. `undefined` never is. @default true */
  readonly cacheNull?: boolean;
  /** Who shares one run of the factory: all processes, this process, nobody. @default 'cluster' */
  readonly coalesce?: Coalescing;
  /**
   * What a hit in memory hands out: a private copy, or one deeply frozen object that all readers share (fastest). A
   * value with a Map, Set, Date, URL or bytes in it cannot be frozen: of that each reader gets a copy all the same.
   * @default 'copy'
   */
  readonly read?: 'copy' | 'frozen';
  /** Where the value is kept: in memory and on the server, or in one of them only. @default 'both' */
  readonly tier?: Tier;
  /** A stored value that it does not accept is a miss: a Standard Schema, such as one of zod or valibot. @default false */
  readonly schema?: StandardSchema | false;
  /**
   * What the read is counted under in metrics: a name from a closed set, never made of data. 1 to 120 characters.
   * @default the namespace; on a decorated method the class and the method
   */
  readonly name?: string;
}

/** How single flight is shared: by all processes, by this process, or not at all. */
export type Coalescing = 'cluster' | 'process' | 'off';

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
export type SetOptions = Pick<GetOrSetOptions, 'ttl' | 'grace' | 'tier'> & { readonly tags?: readonly string[] };

const MAX_TAGS = 64;
const MAX_TAG_LENGTH = 250;

const span = duration('0ms', '24855d');
const isTag = (tag: unknown): boolean => typeof tag === 'string' && tag.trim() !== '' && tag.length <= MAX_TAG_LENGTH;
export const tagList = rule(
  `a list of at most ${MAX_TAGS} texts of 1 to ${MAX_TAG_LENGTH} characters`,
  (tags): readonly string[] | undefined =>
    Array.isArray(tags) && tags.length <= MAX_TAGS && tags.every(isTag) ? [...new Set<string>(tags)] : undefined,
);
export type TagsOf = (value: never) => readonly string[];
export const tagListOrFunction = rule(`${tagList.allowed}, or a function`, (tags) =>
  typeof tags === 'function' ? (tags as TagsOf) : tagList.read(tags),
);

/** A schema may be callable, too. */
const isSchema = (value: unknown): value is StandardSchema =>
  ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
  typeof (value as Partial<StandardSchema>)['~standard']?.validate === 'function';

/** Or not at all. */
const orNone = <T>({ allowed, read }: Rule<T>) =>
  rule(`${allowed}, or false`, (value): T | false | undefined => (value === false ? false : read(value)));

/** What `set` allows beside `tags`. */
export const SET_RULES = {
  ttl: span,
  grace: span,
  tier: oneOf<Tier>('both', 'l1', 'l2'),
} satisfies RulesOf<Omit<SetOptions, 'tags'>>;

/** What may be said for every read of the application, beside `tags`. */
export const READ_RULES = {
  ...SET_RULES,
  staleWhileRevalidate: rule(`true, false or ${span.allowed}`, (value) => flag.read(value) ?? span.read(value)),
  softTimeout: orNone(span),
  hardTimeout: orNone(span),
  jitter: number(0, 1),
  cacheNull: flag,
  coalesce: oneOf<Coalescing>('cluster', 'process', 'off'),
  earlyRefresh: orNone(number(0, 1)),
  read: oneOf('copy', 'frozen'),
  schema: orNone(rule('a Standard Schema', (value) => (isSchema(value) ? value : undefined))),
} satisfies RulesOf<Omit<GetOrSetOptions, 'tags' | 'name'>>;

/** What `getOrSet` allows beside `tags`. */
export const GET_OR_SET_RULES = {
  ...READ_RULES,
  name: text('a text of 1 to 120 characters', /^[^]{1,120}$/),
} satisfies RulesOf<Omit<GetOrSetOptions, 'tags'>>;

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
