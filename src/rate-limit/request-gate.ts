import { addressOf, type Caller } from '../common/caller.ts';
import { AddressList } from '../common/ip-address.ts';
import type { PolicySet } from './policy-set.ts';
import type { JudgedRequest } from './rate-limit.decision.ts';
import type { ResolvedRateLimitModuleOptions } from './rate-limit.options.ts';
import type { ResolvedPolicy } from './rate-limit.policy.ts';
import type { RateLimitLogger } from './rate-limit.service.ts';
import { Subjects } from './subject.ts';
import { ProxyWarnings } from './trust-proxy.ts';

/** What a guard says about a call where the policies and the module are not to. */
export interface Overrides {
  readonly tier: string | undefined;
  readonly subjectOf: (policy: ResolvedPolicy) => string | undefined;
}

/** Turns a call from outside into what is judged: which policies, who, at which cost. */
export class RequestGate {
  readonly #subjects: Subjects;
  readonly #allowed: AddressList;
  readonly #denied: AddressList;
  readonly #warnings: ProxyWarnings;

  constructor(
    private readonly options: ResolvedRateLimitModuleOptions,
    logger: RateLimitLogger,
  ) {
    this.#subjects = new Subjects(options.ipv6Prefix);
    this.#allowed = new AddressList(options.allow);
    this.#denied = new AddressList(options.deny);
    this.#warnings = new ProxyWarnings(logger);
  }

  /** By the lists of addresses. */
  admission(caller: Caller): 'limited' | 'exempt' | 'denied' {
    this.#warnings.consider(caller);
    if (this.#allowed.isEmpty && this.#denied.isEmpty) return 'limited';
    const address = addressOf(caller);
    if (this.#denied.has(address)) return 'denied';
    return this.#allowed.has(address) ? 'exempt' : 'limited';
  }

  /** Undefined where no policy applies. */
  requestOf(set: PolicySet, caller: Caller, { tier, subjectOf }: Overrides): JudgedRequest | undefined {
    const active = set.appliedTo(caller.request);
    if (active === undefined) return undefined;
    const charge = active.chargeFor(tier ?? this.#tierOf(active, caller), active.costsOf(caller.request));
    const subjects = active.policies.map((policy) => subjectOf(policy) ?? this.#subjects.of(policy, caller));
    return { set: active, subjects, charge };
  }

  #tierOf(set: PolicySet, caller: Caller): string | undefined {
    const tier = set.hasTiers ? this.options.tier(caller.request) : undefined;
    return typeof tier === 'string' ? tier : undefined;
  }
}
