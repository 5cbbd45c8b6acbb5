import { nth } from '../common/nth.ts';
import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type Duration, toMs } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { validKey } from '../common/keys.ts';
import { integer } from '../common/option-rules.ts';
import { readOptions, received } from '../common/read-options.ts';
import { type PolicyCounts, Telemetry } from '../common/telemetry.ts';
import type { PolicySet } from './policy-set.ts';
import type { Charge, Quota, QuotaState, RateLimitStore } from './rate-limit-store.interface.ts';
import { decisionOf, type Judgement, type PolicyStanding, type RateLimitDecision } from './rate-limit.decision.ts';
import { noRateLimitCounts, type RateLimitMetrics } from './rate-limit.metrics.ts';
import { RATE_LIMIT_DEFAULTS, type ResolvedRateLimitModuleOptions } from './rate-limit.options.ts';
import { type PolicyInput, RateLimitPolicies } from './rate-limit.policies.ts';
import type { ConsumeOptions } from './rate-limit.policy.ts';
import type { RateLimitRule } from './rate-limit.rules.ts';
import type { SharedLimits, Verdict } from './shared-limits.ts';

/** Where the module logs. */
export interface RateLimitLogger {
  readonly warn: (message: string) => void;
}

const SILENT: RateLimitLogger = { warn: () => undefined };

/** What a call is judged by. */
export interface JudgedRequest {
  readonly set: PolicySet;
  /** One for each policy of the set. */
  readonly subjects: readonly string[];
  readonly charge: Charge;
}

/**
 * Limits how much each subject may spend, exactly, over all processes.
 *
 * Without the server the `onOutage` of a policy, or else the module's, decides: this process's share (`'local'`),
 * StoreUnavailableError (`'reject'`), or admit (`'allow'`).
 *
 * @publicApi
 */
@Injectable()
export class RateLimitService {
  readonly #counts = noRateLimitCounts();
  readonly #policies: RateLimitPolicies;
  readonly #byPolicy = new WeakMap<object, PolicyCounts>();

  /** @param limits a store in this process, or one on a server with all that it takes to live without it */
  constructor(
    private readonly limits: RateLimitStore | SharedLimits,
    /** @internal */
    readonly options: ResolvedRateLimitModuleOptions = RATE_LIMIT_DEFAULTS,
    private readonly logger: RateLimitLogger = SILENT,
    private readonly telemetry = new Telemetry(),
  ) {
    this.#policies = new RateLimitPolicies(options);
  }

  /** @internal */
  get policies(): RateLimitPolicies {
    return this.#policies;
  }

  /**
   * Spends `cost` units of each policy's quota, or nothing when one of them refuses.
   * @param policy a name from `rateLimit.policies`, a policy, or several
   * @throws InvalidOptionsError, InvalidKeyError before anything is asked
   * @throws StoreUnavailableError (503) on an outage with `'reject'`
   */
  consume(policy: PolicyInput, subject: string, options?: ConsumeOptions): Promise<RateLimitDecision> {
    return answered(() => {
      const request = this.#requestOf(policy, subject, options);
      return once(this.#spend(request), (states, by) => this.#judge(request, states, by).decision);
    });
  }

  /** What such a call would be told now; spends nothing. @throws as `consume` */
  check(policy: PolicyInput, subject: string, options?: ConsumeOptions): Promise<RateLimitDecision> {
    return answered(() => {
      const request = this.#requestOf(policy, subject, options);
      return once(this.#look(request), (states, by) => judgementOf(request, states, by).decision);
    });
  }

  /** Gives the subject its whole quota back, and ends its blocks. @throws StoreUnavailableError, OutcomeUnknownError */
  async reset(policy: PolicyInput, subject: string): Promise<void> {
    await this.#forEachQuota(policy, subject, (quota) => this.limits.reset(quota, subject));
  }

  /**
   * Refuses the subject for so long, from now on; an earlier block ends.
   * @param duration a bare number is seconds
   * @throws InvalidTtlError, StoreUnavailableError, OutcomeUnknownError
   */
  async block(policy: PolicyInput, subject: string, duration: number | Duration): Promise<void> {
    const ms = toMs(duration, 's', 'duration');
    await this.#forEachQuota(policy, subject, (quota) => this.limits.block(quota, subject, ms));
  }

  /** Gives units back that were spent in vain, the latest first. @throws StoreUnavailableError, OutcomeUnknownError */
  async refund(policy: PolicyInput, subject: string, cost = 1): Promise<void> {
    const set = this.#policies.resolve(policy);
    set.chargeFor(undefined, set.policies.map(() => cost)); // prettier-ignore
    await this.#forEachQuota(policy, subject, (quota) => this.limits.refund(quota, subject, cost));
  }

  /** Whether one more call is admitted for `key`, which is then counted. */
  async checkRateLimit(key: string, limit: number, ttlSeconds: number | Duration): Promise<boolean> {
    const windowMs = toMs(ttlSeconds, 's', 'ttlSeconds');
    const set = this.#policies.plain('checkRateLimit', limit, windowMs);
    const subjects = [validKey(key, 'key')];
    const { decision } = await this.spend({ set, subjects, charge: set.chargeFor(undefined) });
    return decision.allowed;
  }

  getMetrics(): RateLimitMetrics {
    return { ...this.#counts };
  }

  /** @internal What a call of a provider's method is judged by: a function of its arguments, or that it is called. */
  requestOfCall(rules: readonly RateLimitRule[], name: string, args: readonly unknown[]): JudgedRequest {
    const set = this.#policies.setOfRules(rules, name);
    const subjects = set.policies.map(({ by }) =>
      typeof by === 'function' ? subjectOfCall(by, args, name) : EVERYBODY,
    );
    return { set, subjects, charge: set.chargeFor(undefined) };
  }

  /** @internal */
  spend(request: JudgedRequest): Judgement | Promise<Judgement> {
    return once(this.#spend(request), (states, by) => this.#judge(request, states, by));
  }

  /** @internal */
  look(request: JudgedRequest): Judgement | Promise<Judgement> {
    return once(this.#look(request), (states, by) => judgementOf(request, states, by));
  }

  /** @internal Gives back what an admitted request was charged. */
  async giveBack({ charge, subjects }: JudgedRequest, which: readonly number[]): Promise<void> {
    for (const at of which) await this.limits.refund(nth(charge.quotas, at), nth(subjects, at), nth(charge.costs, at));
  }

  #spend({ charge, subjects }: JudgedRequest): Answer | Promise<Answer> {
    return this.limits.spend(charge, subjects);
  }

  #look({ charge, subjects }: JudgedRequest): Answer | Promise<Answer> {
    return this.limits.look(charge, subjects);
  }

  #requestOf(policy: PolicyInput, subject: string, options?: ConsumeOptions): JudgedRequest {
    const set = this.#policies.resolve(policy);
    validKey(subject, 'subject');
    const { cost, tier } = options === undefined ? NO_OPTIONS : readConsumeOptions(options);
    const costs = cost === undefined ? undefined : set.policies.map(() => cost);
    const subjects = set.policies.length === 1 ? [subject] : set.policies.map(() => subject);
    return { set, subjects, charge: set.chargeFor(tier, costs) };
  }

  async #forEachQuota(policy: PolicyInput, subject: string, act: (quota: Quota) => unknown): Promise<void> {
    const { policies } = this.#policies.resolve(policy);
    validKey(subject, 'subject');
    await Promise.all(policies.map((each) => act(each.quotaFor(undefined))));
  }

  /** Counts and logs what came of a request, once. */
  #judge(request: JudgedRequest, states: Verdict['states'], by: Verdict['by']): Judgement {
    const judgement = judgementOf(request, states, by);
    const counts = this.#counts;
    if (judgement.decision.allowed) counts.allowed += 1;
    else counts.refused += 1;
    if (by === 'outage') counts.degraded += 1;
    for (let at = 0; at < judgement.standings.length; at++) this.#countByPolicy(nth(judgement.standings, at), by);
    if (by === 'memory') counts.refusedFromMemory += 1;
    else this.#report(judgement);
    return judgement;
  }

  #countByPolicy({ policy, state }: PolicyStanding, by: Verdict['by']): void {
    const counts = this.#byPolicy.get(policy) ?? this.#countsOf(policy);
    if (state.retryAfterMs === 0) counts.allowed += 1;
    else counts.refused += 1;
    if (by === 'outage') counts.degraded += 1;
  }

  #countsOf(policy: PolicyStanding['policy']): PolicyCounts {
    const counts = this.telemetry.policies.of(policy.name);
    this.#byPolicy.set(policy, counts);
    return counts;
  }

  #report({ standings, decision }: Judgement): void {
    if (standings.length === 1 && nth(standings, 0).state.retryAfterMs === 0) return;
    for (const { policy, quota, subject, state } of standings) {
      if (state.retryAfterMs === 0) continue;
      if (state.block === 'imposed') this.#counts.escalated += 1;
      if (quota.isShadow && decision.allowed) this.#counts.shadowed += 1;
      if (quota.isShadow || quota.escalation !== undefined)
        this.logger.warn(lineOf(policy.name, quota, subject, state));
    }
  }
}

const EVERYBODY = 'everybody';

/** A count that is nobody's would be everybody's. */
function subjectOfCall(by: (...args: never[]) => unknown, args: readonly unknown[], name: string): string {
  const subject = by(...(args as never[]));
  const text = typeof subject === 'number' || typeof subject === 'bigint' ? String(subject) : subject;
  if (typeof text === 'string' && text.trim() !== '') return text;
  throw new InvalidOptionsError(`${name}: @RateLimit`, [
    `by: must return a text or a number; received ${received(text)}`,
  ]);
}

const NO_OPTIONS: ConsumeOptions = {};

function readConsumeOptions(options: ConsumeOptions): ConsumeOptions {
  const faults: string[] = [];
  const { tier } = readOptions({ ...options, cost: undefined }, { cost: integer(1, 1), tier: aTier }, faults);
  if (faults.length > 0) throw new InvalidOptionsError('Wrong rate limit options', faults);
  return { ...(options.cost !== undefined && { cost: options.cost }), ...(tier !== undefined && { tier }) };
}

const aTier = {
  allowed: 'a text',
  read: (value: unknown) => (typeof value === 'string' ? value : undefined),
};

/** A store in this process says only what it found. */
type Answer = Verdict | Verdict['states'];

type Act<T> = (states: Verdict['states'], by: Verdict['by']) => T;

/** An answer that is there at once does not wait for a turn of its own, and one that is not waits for one only. */
function once<T>(answer: Answer | Promise<Answer>, act: Act<T>): T | Promise<T> {
  if (answer instanceof Promise) return answer.then((late) => actOn(late, act));
  return actOn(answer, act);
}

const actOn = <T>(answer: Answer, act: Act<T>): T =>
  isVerdict(answer) ? act(answer.states, answer.by) : act(answer, 'store');

const isVerdict = (answer: Answer): answer is Verdict => !Array.isArray(answer);

function judgementOf(request: JudgedRequest, states: Verdict['states'], by: Verdict['by']): Judgement {
  const standings =
    states.length === 1 ? [standingOf(request, states, 0)] : states.map((_, at) => standingOf(request, states, at));
  return { standings, decision: decisionOf(standings, by === 'outage') };
}

const standingOf = (
  { set, charge, subjects }: JudgedRequest,
  states: readonly QuotaState[],
  at: number,
): PolicyStanding => ({
  policy: nth(set.policies, at),
  quota: nth(charge.quotas, at),
  subject: nth(subjects, at),
  state: nth(states, at),
});

/** What an `async` method would do, without a turn of its own. */
function answered<T>(act: () => T | Promise<T>): Promise<T> {
  try {
    const answer = act();
    return answer instanceof Promise ? answer : Promise.resolve(answer);
  } catch (error) {
    return failed(error);
  }
}

const failed = async (error: unknown): Promise<never> => {
  throw error;
};

/** Who it was is hashed: the same in every line about one subject, and no more. */
function lineOf(
  policy: string,
  { isShadow }: Quota,
  subject: string,
  { block, retryAfterMs }: PolicyStanding['state'],
) {
  const who = createHash('sha256').update(subject).digest('hex').slice(0, 12);
  const blocked = block === 'imposed' ? `, blocked for ${retryAfterMs} ms` : '';
  const name = JSON.stringify(policy.slice(0, 120));
  return `rate limit ${name} ${isShadow ? 'would have been violated' : 'violated'} by subject ${who}${blocked}`;
}
