import { nth } from '../common/nth.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { received } from '../common/read-options.ts';
import type { LimitedRequest } from '../common/caller.ts';
import type { Charge, Quota } from './rate-limit-store.interface.ts';
import type { ResolvedPolicy } from './rate-limit.policy.ts';

/** Policies that a request has to satisfy all together. */
export class PolicySet {
  /** Of the usual requests, by tier: stores know what to do with a charge they have seen before. */
  readonly #charges = new Map<string | undefined, Charge>();
  readonly #hasTiers: boolean;
  readonly #hasSkips: boolean;
  readonly #hasCosts: boolean;

  constructor(
    readonly policies: readonly ResolvedPolicy[],
    private readonly consumesOnReject: boolean,
  ) {
    this.#hasTiers = policies.some(({ hasTiers }) => hasTiers);
    this.#hasSkips = policies.some(({ skip }) => skip !== undefined);
    this.#hasCosts = policies.some(({ cost }) => cost !== undefined);
  }

  get hasTiers(): boolean {
    return this.#hasTiers;
  }

  /** Without the policies that skip the request; undefined when that is all of them. */
  appliedTo(request: LimitedRequest): PolicySet | undefined {
    if (!this.#hasSkips) return this;
    const applied = this.policies.filter(({ skip }) => skip?.(request) !== true);
    if (applied.length === 0) return undefined;
    return applied.length === this.policies.length ? this : new PolicySet(applied, this.consumesOnReject);
  }

  /** Undefined when each costs one unit. */
  costsOf(request: LimitedRequest): readonly number[] | undefined {
    if (!this.#hasCosts) return undefined;
    return this.policies.map(({ cost = 1 }) => (typeof cost === 'function' ? cost(request) : cost));
  }

  /**
   * @param costs one for each policy
   * @throws InvalidOptionsError for a cost that no quota could ever admit
   */
  chargeFor(tier: string | undefined, costs?: readonly number[]): Charge {
    if (costs !== undefined) return this.#chargeOf(tier, costs);
    const known = this.#charges.get(tier);
    if (known !== undefined) return known;
    const charge = this.#chargeOf(tier, this.policies.map(() => 1)); // prettier-ignore
    // A tier is whatever the application calls one: only those that make a difference are kept.
    if (tier === undefined || this.#charges.size < MAX_TIERS) this.#charges.set(tier, charge);
    return charge;
  }

  #chargeOf(tier: string | undefined, costs: readonly number[]): Charge {
    const quotas = this.policies.map((policy) => policy.quotaFor(tier));
    quotas.forEach((quota, at) => checkCost(quota, costs[at], nth(this.policies, at).name));
    return { quotas, costs, consumesOnReject: this.consumesOnReject };
  }
}

const MAX_TIERS = 100;

function checkCost({ capacity }: Quota, cost: unknown, policy: string): void {
  if (Number.isSafeInteger(cost) && (cost as number) >= 1 && (cost as number) <= capacity) return;
  throw new InvalidOptionsError('Wrong rate limit options', [
    `cost: must be a whole number from 1 to ${capacity}, the limit of '${policy}'; received ${received(cost)}`,
  ]);
}
