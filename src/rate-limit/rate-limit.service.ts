import { nth } from '../common/nth.ts';
import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { begin, rejected } from '../common/begin.ts';
import { type Duration, toMs } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { validKey } from '../common/keys.ts';
import { integer } from '../common/option-rules.ts';
import { assertOptions, readOptions, received } from '../common/read-options.ts';
import { type PolicyCounts, Telemetry } from '../common/telemetry.ts';
import type { Quota, RateLimitStore } from './rate-limit-store.interface.ts';
import { type JudgedRequest, Judgement, type PolicyStanding, type RateLimitDecision } from './rate-limit.decision.ts';
import { noRateLimitCounts, type RateLimitMetrics } from './rate-limit.metrics.ts';
import { RATE_LIMIT_DEFAULTS, type ResolvedRateLimitModuleOptions } from './rate-limit.options.ts';
import { type PolicyInput, RateLimitPolicies } from './rate-limit.policies.ts';
import type { ConsumeOptions, ResolvedPolicy } from './rate-limit.policy.ts';
import type { RateLimitRule } from './rate-limit.rules.ts';
import type { SharedLimits, Verdict } from './shared-limits.ts';

/** Where the module logs. */
export interface RateLimitLogger {
  readonly warn: (message: string) => void;
}

const SILENT: RateLimitLogger = { warn: () => undefined };

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
    try {
      const request = this.#requestOf(policy, subject, options);
      const answer = this.limits.spend(request.charge, request.subjects);
      // An answer that is there at once does not wait for a turn of its own, and one that is not waits for one only.
      if (answer instanceof Promise) return answer.then((late) => this.#judge(request, verdictOf(late)).decision);
      return Promise.resolve(this.#judge(request, verdictOf(answer)).decision);
    } catch (error) {
      return rejected(error);
    }
  }

  /** What such a call would be told now; spends nothing. @throws as `consume` */
  check(policy: PolicyInput, subject: string, options?: ConsumeOptions): Promise<RateLimitDecision> {
    return begin(() => {
      const judgement = this.look(this.#requestOf(policy, subject, options));
      return judgement instanceof Promise ? judgement.then(decisionIn) : judgement.decision;
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
    const answer = this.limits.spend(request.charge, request.subjects);
    if (answer instanceof Promise) return answer.then((late) => this.#judge(request, verdictOf(late)));
    return this.#judge(request, verdictOf(answer));
  }

  /** @internal */
  look(request: JudgedRequest): Judgement | Promise<Judgement> {
    const answer = this.limits.look(request.charge, request.subjects);
    if (answer instanceof Promise) return answer.then((late) => judgementOf(request, verdictOf(late)));
    return judgementOf(request, verdictOf(answer));
  }

  /** @internal Gives back what an admitted request was charged. */
  async giveBack({ charge, subjects }: JudgedRequest, which: readonly number[]): Promise<void> {
    for (const at of which) await this.limits.refund(nth(charge.quotas, at), nth(subjects, at), nth(charge.costs, at));
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
  #judge(request: JudgedRequest, { states, by }: Verdict): Judgement {
    const judgement = new Judgement(request, states, by === 'outage');
    const counts = this.#counts;
    if (judgement.decision.allowed) counts.allowed += 1;
    else counts.refused += 1;
    if (by === 'outage') counts.degraded += 1;
    let refusals = 0;
    for (let at = 0; at < states.length; at++) {
      const isRefusal = nth(states, at).retryAfterMs > 0;
      if (isRefusal) refusals += 1;
      this.#countByPolicy(nth(request.set.policies, at), isRefusal, by);
    }
    if (by === 'memory') counts.refusedFromMemory += 1;
    else if (refusals > 0) this.#report(judgement);
    return judgement;
  }

  #countByPolicy(policy: ResolvedPolicy, isRefusal: boolean, by: Verdict['by']): void {
    const counts = this.#byPolicy.get(policy) ?? this.#countsOf(policy);
    if (isRefusal) counts.refused += 1;
    else counts.allowed += 1;
    if (by === 'outage') counts.degraded += 1;
  }

  #countsOf(policy: ResolvedPolicy): PolicyCounts {
    const counts = this.telemetry.policies.of(policy.name);
    this.#byPolicy.set(policy, counts);
    return counts;
  }

  #report({ standings, decision }: Judgement): void {
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
  assertOptions(options, 'Wrong rate limit options');
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

const verdictOf = (answer: Answer): Verdict => (isVerdict(answer) ? answer : { states: answer, by: 'store' });

const isVerdict = (answer: Answer): answer is Verdict => !Array.isArray(answer);

const judgementOf = (request: JudgedRequest, { states, by }: Verdict): Judgement =>
  new Judgement(request, states, by === 'outage');

const decisionIn = ({ decision }: Judgement): RateLimitDecision => decision;

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
