import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { aFunction, as, duration, flag, integer, oneOf, rule, type RulesOf, text } from '../common/option-rules.ts';
import { readOptions, type ValuesOf } from '../common/read-options.ts';
import type { LimitedRequest } from '../common/caller.ts';
import type { RequestFunction } from './limited-request.ts';
import { quotaOf } from './quota.ts';
import type { Algorithm, OnOutage, Quota } from './rate-limit-store.interface.ts';

/** How much each subject may spend. Read once: changing the object later has no effect. */
export interface RateLimitPolicy {
  /** Appears in decisions, headers and keys: policies of one name and window count together. */
  readonly name: string;
  /** Units, by default calls, that are admitted within the window. At least 1. */
  readonly limit: number;
  readonly window: Duration;
  /**
   * `'sliding'`: exact over any window. `'fixed'`: windows begin at multiples of their length. `'gcra'`: units come
   * back one by one, evenly. @default 'sliding'
   */
  readonly algorithm?: Algorithm;
  /** Of `'gcra'`: units that may be spent at once. @default the limit */
  readonly burst?: number;
  /** Who is counted on requests. Without a user, or where the function finds nobody, it is the ip. @default 'user' */
  readonly by?: 'user' | 'ip' | 'user-and-ip' | RequestFunction<unknown>;
  /** Limits for those whose tier it is; for all others it is `limit`. */
  readonly tiers?: Readonly<Record<string, number>>;
  /** Blocks a subject that was refused `after` times `within` a time; each further block is twice as long, up to `max`. */
  readonly escalate?: RateLimitEscalation;
  /** Without the server: count in this process, refuse (503), or admit. @default the module's, which is 'local' */
  readonly onOutage?: OnOutage;
  /** Count, log and report, but refuse nobody. @default false */
  readonly shadow?: boolean;
  /** Units a request costs, on handlers. @default 1 */
  readonly cost?: number | RequestFunction<number>;
  /** Requests that are not counted, on handlers. */
  readonly skip?: RequestFunction<boolean>;
  /** On HTTP handlers: whether a request is given back once it is answered; `'failed'`: with status 400 or above. */
  readonly refund?: 'failed' | ((status: number, request: LimitedRequest) => boolean);
}

export interface RateLimitEscalation {
  readonly after: number;
  readonly within: Duration;
  readonly block: Duration;
  /** The longest block. @default '1d', or `block` if that is longer */
  readonly max?: Duration;
}

export interface ConsumeOptions {
  /** Units this call spends, at most the limit. @default 1 */
  readonly cost?: number;
  /** Whose limits of a policy with tiers apply. */
  readonly tier?: string;
}

const or = <A, B>(one: ReturnType<typeof rule<A>>, other: ReturnType<typeof rule<B>>) =>
  rule<A | B>(`${one.allowed}, or ${other.allowed}`, (value) => one.read(value) ?? other.read(value));

const WINDOW = duration('1ms', '24855d');
const LIMIT = integer(1, Number.MAX_SAFE_INTEGER);

const tierLimits = rule('an object with a whole number from 1 on for each tier', (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const limits = Object.entries(value);
  return limits.every(([, limit]) => LIMIT.read(limit) !== undefined) ? new Map<string, number>(limits) : undefined;
});

const ESCALATION_RULES = {
  after: integer(1, 100),
  within: as('withinMs', WINDOW),
  block: as('blockMs', WINDOW),
  max: as('maxMs', WINDOW),
} satisfies RulesOf<RateLimitEscalation>;

export const onOutageRule = oneOf('local', 'reject', 'allow');

const RULES = {
  name: text('a name with at least one visible character', /\S/),
  limit: LIMIT,
  window: as('windowMs', WINDOW),
  algorithm: oneOf('sliding', 'fixed', 'gcra'),
  burst: LIMIT,
  by: or(oneOf('user', 'ip', 'user-and-ip'), aFunction<RequestFunction<unknown>>()),
  tiers: tierLimits,
  escalate: ESCALATION_RULES,
  onOutage: onOutageRule,
  shadow: flag,
  cost: or(LIMIT, aFunction<RequestFunction<number>>()),
  skip: aFunction<RequestFunction<boolean>>(),
  refund: or(oneOf('failed'), aFunction<(status: number, request: LimitedRequest) => boolean>()),
} satisfies RulesOf<RateLimitPolicy>;

type PolicyValues = ValuesOf<typeof RULES>;

/** What a policy object may leave out, where somebody else says it. */
export interface PolicyDefaults {
  readonly name?: string;
  readonly onOutage: OnOutage;
}

/** A policy that has been read, and its quotas by tier. */
export class ResolvedPolicy {
  readonly name: string;
  readonly by: NonNullable<PolicyValues['by']>;
  readonly cost: PolicyValues['cost'];
  readonly skip: PolicyValues['skip'];
  readonly refund: PolicyValues['refund'];
  readonly #limit: number;
  readonly #quota: Quota;
  readonly #tiers = new Map<string, Quota>();

  constructor(values: PolicyValues & Required<Pick<PolicyValues, 'name' | 'limit' | 'windowMs' | 'onOutage'>>) {
    const { name, limit, by = 'user', cost, skip, refund, tiers = new Map<string, number>() } = values;
    [this.name, this.by, this.cost, this.skip, this.refund, this.#limit] = [name, by, cost, skip, refund, limit];
    this.#quota = quotaWith(values, limit);
    for (const [tier, own] of tiers) this.#tiers.set(tier, quotaWith(values, own));
  }

  /** The same for every call of one tier. */
  quotaFor(tier: string | undefined): Quota {
    return (tier === undefined ? undefined : this.#tiers.get(tier)) ?? this.#quota;
  }

  get hasTiers(): boolean {
    return this.#tiers.size > 0;
  }

  get limit(): number {
    return this.#limit;
  }
}

function quotaWith(values: PolicyValues & { readonly name: string; readonly windowMs: number }, limit: number): Quota {
  const { name, windowMs, algorithm = 'sliding', burst, escalate, shadow = false, onOutage = 'local' } = values;
  const { after, withinMs, blockMs, maxMs = 86_400_000 } = escalate ?? {};
  const escalation =
    after === undefined || withinMs === undefined || blockMs === undefined
      ? undefined
      : { after, withinMs, blockMs, maxMs: Math.max(blockMs, maxMs) };
  return quotaOf({ name, algorithm, limit, windowMs, burst, isShadow: shadow, escalation, onOutage });
}

/** Reads a policy; what is wrong goes to `faults`, and the result is undefined then. */
export function readPolicy(
  given: unknown,
  defaults: PolicyDefaults,
  faults: string[],
  path = '',
): ResolvedPolicy | undefined {
  const own: string[] = [];
  const values = readOptions(given, RULES, own, path);
  const { name = defaults.name, limit, windowMs, onOutage = defaults.onOutage } = values;
  if (own.length === 0) own.push(...faultsIn(values, name, path));
  faults.push(...own);
  if (own.length > 0 || name === undefined || limit === undefined || windowMs === undefined) return undefined;
  return new ResolvedPolicy({ ...values, name, limit, windowMs, onOutage });
}

/** At most as many units per millisecond as still make whole microseconds of some size. */
const FASTEST_GCRA_PER_MS = 10;

function faultsIn(values: PolicyValues, name: string | undefined, path: string): string[] {
  const { limit = 1, windowMs = Infinity, algorithm = 'sliding', burst, escalate, tiers = new Map() } = values;
  const at = (option: string): string => (path === '' ? option : `${path}.${option}`);
  const missing = (option: string, value: unknown) => (value === undefined ? [`${at(option)}: is required`] : []);
  const faults = [
    ...missing('name', name),
    ...missing('limit', values.limit),
    ...missing('window', values.windowMs),
    ...(burst !== undefined && algorithm !== 'gcra' ? [`${at('burst')}: only algorithm 'gcra' has one`] : []),
  ];
  if (escalate !== undefined) {
    const { after, withinMs, blockMs } = escalate;
    for (const [option, value] of Object.entries({ after, within: withinMs, block: blockMs })) {
      faults.push(...missing(`escalate.${option}`, value));
    }
    if ((escalate.maxMs ?? Infinity) < (escalate.blockMs ?? 0)) {
      faults.push(`${at('escalate.max')}: must not be shorter than escalate.block`);
    }
  }
  const highest = Math.max(limit, ...(tiers.values() as Iterable<number>));
  if (algorithm === 'gcra' && highest > windowMs * FASTEST_GCRA_PER_MS) {
    faults.push(`${at('limit')}: 'gcra' admits at most ${FASTEST_GCRA_PER_MS} units per millisecond of its window; received ${highest}`); // prettier-ignore
  }
  return faults;
}

/** @throws InvalidOptionsError that lists every fault */
export function resolvePolicy(policy: unknown, defaults: PolicyDefaults): ResolvedPolicy {
  const faults: string[] = [];
  const resolved = readPolicy(policy, defaults, faults);
  if (resolved === undefined) throw new InvalidOptionsError('Wrong rate limit policy', faults);
  return resolved;
}
