import { nth } from '../common/nth.ts';
import type { PolicySet } from './policy-set.ts';
import type { Charge, Quota, QuotaState } from './rate-limit-store.interface.ts';
import type { ResolvedPolicy } from './rate-limit.policy.ts';

/** What the policies say about one call of one subject. */
export interface RateLimitDecision {
  readonly allowed: boolean;
  readonly limit: number;
  /** Units that may still be spent now. */
  readonly remaining: number;
  /** Until the whole quota is there again if nobody calls meanwhile. */
  readonly resetMs: number;
  /** Until the same call would be admitted if nobody calls meanwhile; 0 when it was. */
  readonly retryAfterMs: number;
  /** Name of the policy that the figures belong to: of several, the one with the least share left. */
  readonly policy: string;
  /** Names of the policies that refused. */
  readonly violated: string[];
  /** Decided without the server. */
  readonly degraded: boolean;
}

/** Where a call stands with one of its policies. */
export interface PolicyStanding {
  readonly policy: ResolvedPolicy;
  readonly quota: Quota;
  readonly subject: string;
  readonly state: QuotaState;
}

/** What a call is judged by. */
export interface JudgedRequest {
  readonly set: PolicySet;
  /** One for each policy of the set. */
  readonly subjects: readonly string[];
  readonly charge: Charge;
}

/** The decision about a call, and what it is made of. */
export class Judgement {
  readonly decision: RateLimitDecision;

  /** @param states of the quotas, in the order of the policies */
  constructor(
    private readonly request: JudgedRequest,
    private readonly states: readonly QuotaState[],
    isDegraded: boolean,
  ) {
    const { set, charge } = request;
    // Most calls have one policy, and nobody asks where they stand with it.
    this.decision =
      states.length === 1
        ? decisionOfOne(nth(set.policies, 0).name, nth(charge.quotas, 0), nth(states, 0), isDegraded)
        : decisionOf(this.standings, isDegraded);
  }

  /** In the order of the policies. */
  get standings(): readonly PolicyStanding[] {
    const { set, charge, subjects } = this.request;
    return this.states.map((state, at) => ({
      policy: nth(set.policies, at),
      quota: nth(charge.quotas, at),
      subject: nth(subjects, at),
      state,
    }));
  }
}

type Counted = Pick<PolicyStanding, 'quota' | 'state'>;

export const remainingOf = ({ quota, state }: Counted): number =>
  state.block === 'none' ? Math.max(0, quota.capacity - state.used) : 0;

/** Whether this policy is a reason to refuse the call. */
export const isViolated = ({ quota, state }: Counted): boolean => state.retryAfterMs > 0 && !quota.isShadow;

/** Of those that refused, or else of all, the one with the least share left. */
export function tightestOf(standings: readonly PolicyStanding[]): PolicyStanding {
  if (standings.length === 1) return nth(standings, 0);
  const violated = standings.filter(isViolated);
  return (violated.length > 0 ? violated : standings).reduce(tighter);
}

function decisionOf(standings: readonly PolicyStanding[], degraded: boolean): RateLimitDecision {
  const violated = standings.filter(isViolated);
  const tightest = tightestOf(standings);
  return {
    allowed: violated.length === 0,
    limit: tightest.quota.capacity,
    remaining: remainingOf(tightest),
    resetMs: tightest.state.resetMs,
    retryAfterMs: violated.reduce((longest, { state }) => Math.max(longest, state.retryAfterMs), 0),
    policy: tightest.policy.name,
    violated: violated.map(({ policy }) => policy.name),
    degraded,
  };
}

function decisionOfOne(policy: string, quota: Quota, state: QuotaState, degraded: boolean): RateLimitDecision {
  const allowed = !isViolated({ quota, state });
  return {
    allowed,
    limit: quota.capacity,
    remaining: remainingOf({ quota, state }),
    resetMs: state.resetMs,
    retryAfterMs: allowed ? 0 : state.retryAfterMs,
    policy,
    violated: allowed ? [] : [policy],
    degraded,
  };
}

/** Policies in shadow count only where there is no other. */
function tighter(one: PolicyStanding, other: PolicyStanding): PolicyStanding {
  if (one.quota.isShadow !== other.quota.isShadow) return one.quota.isShadow ? other : one;
  return remainingOf(other) / other.quota.capacity < remainingOf(one) / one.quota.capacity ? other : one;
}
