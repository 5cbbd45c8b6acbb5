import { Injectable } from '@nestjs/common';
import { type Duration, toMs } from '../common/duration.ts';
import { isStoreFailure, StoreUnavailableError } from '../common/errors.ts';
import { type KeySpace, validKey } from '../common/keys.ts';
import { MemoryRateLimitStore } from './memory-rate-limit.store.ts';
import type { QuotaState, RateLimitStore } from './rate-limit-store.interface.ts';
import { RATE_LIMIT_DEFAULTS, type ResolvedRateLimitModuleOptions } from './rate-limit.options.ts';
import {
  type ConsumeOptions,
  nameOfCount,
  type RateLimitPolicy,
  resolveCost,
  type ResolvedRateLimitPolicy,
  resolvePolicy,
} from './rate-limit.policy.ts';

/** What a policy says about one call of one subject. */
export interface RateLimitDecision {
  readonly allowed: boolean;
  readonly limit: number;
  /** Units that may still be spent now. */
  readonly remaining: number;
  /** Until the whole quota is there again if nobody calls meanwhile. */
  readonly resetMs: number;
  /** Until the same call would be admitted if nobody calls meanwhile; 0 when it was. */
  readonly retryAfterMs: number;
  /** Name of the policy that the figures belong to. */
  readonly policy: string;
  /** Names of the policies that refused. */
  readonly violated: string[];
  /** Decided without the server. */
  readonly degraded: boolean;
}

type Awaitable<T> = T | Promise<T>;
type Question = (store: RateLimitStore, key: string) => Awaitable<QuotaState>;

/**
 * Limits how much each subject may spend within any window, exactly, over all processes.
 *
 * While the server is away the policy's `onOutage`, or else the module's, decides: count in this process (`'local'`,
 * from zero), refuse with StoreUnavailableError (`'reject'`), or admit (`'allow'`).
 *
 * @publicApi
 */
@Injectable()
export class RateLimitService {
  /** What `onOutage: 'local'` falls back to. */
  readonly #local = new MemoryRateLimitStore();
  /** A policy is usually a constant: it is read once. */
  readonly #resolved = new WeakMap<RateLimitPolicy, ResolvedRateLimitPolicy>();

  constructor(
    private readonly store: RateLimitStore,
    private readonly keys: KeySpace,
    private readonly defaults: ResolvedRateLimitModuleOptions = RATE_LIMIT_DEFAULTS,
  ) {}

  /**
   * Spends `cost` units of the subject's quota, or nothing when they do not all fit.
   * @throws StoreUnavailableError (503) on an outage with `'reject'`
   */
  async consume(policy: RateLimitPolicy, subject: string, options?: ConsumeOptions): Promise<RateLimitDecision> {
    const resolved = this.resolve(policy);
    const cost = resolveCost(options, resolved);
    return this.decide(resolved, subject, (store, key) => store.consume(key, resolved, cost));
  }

  /** What a call of cost 1 would be told now; spends nothing. @throws StoreUnavailableError as `consume` */
  async check(policy: RateLimitPolicy, subject: string): Promise<RateLimitDecision> {
    const resolved = this.resolve(policy);
    return this.decide(resolved, subject, (store, key) => store.check(key, resolved));
  }

  /** Gives the subject its whole quota back. @throws StoreUnavailableError, OutcomeUnknownError (503) */
  async reset(policy: RateLimitPolicy, subject: string): Promise<void> {
    const key = this.keyOf(this.resolve(policy), subject);
    this.#local.reset(key);
    await this.store.reset(key);
  }

  /** Whether one more call is admitted for `key`, which is then counted. */
  async checkRateLimit(key: string, limit: number, ttlSeconds: number | Duration): Promise<boolean> {
    const window = `${toMs(ttlSeconds, 's', 'ttlSeconds')}ms` as const;
    const { allowed } = await this.consume({ name: 'checkRateLimit', limit, window }, key);
    return allowed;
  }

  private async decide(policy: ResolvedRateLimitPolicy, subject: string, ask: Question): Promise<RateLimitDecision> {
    const key = this.keyOf(policy, subject);
    try {
      return decisionOf(policy, await ask(this.store, key), false);
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      return decisionOf(policy, await this.askWithoutServer(policy, key, ask), true);
    }
  }

  private askWithoutServer(policy: ResolvedRateLimitPolicy, key: string, ask: Question): Awaitable<QuotaState> {
    switch (policy.onOutage) {
      case 'local':
        return ask(this.#local, key);
      case 'allow':
        return { allowed: true, remaining: policy.limit, resetMs: 0, retryAfterMs: 0 };
      case 'reject':
        // Also when the outcome is unknown: units that were spent in vain come back, and the call was not admitted.
        throw new StoreUnavailableError('rateLimit', 'the server does not answer');
    }
  }

  private resolve(policy: RateLimitPolicy): ResolvedRateLimitPolicy {
    const known = this.#resolved.get(policy);
    if (known !== undefined) return known;
    const resolved = resolvePolicy(policy, this.defaults);
    this.#resolved.set(policy, resolved);
    return resolved;
  }

  private keyOf(policy: ResolvedRateLimitPolicy, subject: string): string {
    return this.keys.internal('limit', nameOfCount(policy, validKey(subject, 'subject')));
  }
}

const decisionOf = (
  { name, limit }: ResolvedRateLimitPolicy,
  state: QuotaState,
  degraded: boolean,
): RateLimitDecision => ({ ...state, limit, policy: name, violated: state.allowed ? [] : [name], degraded });
