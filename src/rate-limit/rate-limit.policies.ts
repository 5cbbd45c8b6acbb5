import { InvalidOptionsError } from '../common/errors.ts';
import { nearest } from '../common/nearest.ts';
import { received } from '../common/read-options.ts';
import { PolicySet } from './policy-set.ts';
import type { ResolvedRateLimitModuleOptions } from './rate-limit.options.ts';
import type { RateLimitRule } from './rate-limit.rules.ts';
import { type RateLimitPolicy, type ResolvedPolicy, resolvePolicy } from './rate-limit.policy.ts';

/** A name from the module's options, a policy, or several. */
export type PolicyInput = string | RateLimitPolicy | readonly RateLimitPolicy[];

/** Sets that are found by what they say; beyond that many they are made anew. */
const MAX_SETS = 1_000;

/** Finds and reads policies, each once. */
export class RateLimitPolicies {
  readonly #named: ReadonlyMap<string, PolicySet>;
  readonly #resolved = new WeakMap<object, PolicySet>();
  readonly #plain = new Map<string, PolicySet>();
  /** Many callers write a policy down where they call, so each call brings an object of its own that says the same. */
  readonly #written = new Map<string, PolicySet>();
  /** A handler may be inherited by several classes. */
  readonly #byRules = new WeakMap<readonly RateLimitRule[], Map<string, PolicySet>>();

  constructor(
    private readonly options: Pick<ResolvedRateLimitModuleOptions, 'policies' | 'onOutage' | 'consumeOnReject'>,
  ) {
    this.#named = new Map([...options.policies].map(([name, policies]) => [name, this.setOf(policies)]));
  }

  /** @throws InvalidOptionsError for a name that the options do not have, and for a wrong policy */
  resolve(input: PolicyInput): PolicySet {
    if (typeof input === 'string') return this.#named.get(input) ?? this.#unknown(input);
    const isObject = typeof input === 'object' && (input as unknown) !== null;
    const known = isObject ? this.#resolved.get(input) : undefined;
    if (known !== undefined) return known;
    const text = isObject && isFlat(input) ? JSON.stringify(input) : undefined;
    const alike = text === undefined ? undefined : this.#written.get(text);
    if (alike !== undefined) return alike;
    const set = this.setOf(this.#read(input));
    this.#resolved.set(input, set);
    if (text !== undefined) remember(this.#written, text, set);
    return set;
  }

  /**
   * What stands on a handler, or the module's `default`, or nothing.
   * @param name of policies that have none
   */
  setFor(rules: readonly RateLimitRule[] | undefined, name: string): PolicySet | undefined {
    return rules === undefined ? this.#named.get('default') : this.setOfRules(rules, name);
  }

  setOfRules(rules: readonly RateLimitRule[], name: string): PolicySet {
    const byName = this.#byRules.get(rules) ?? new Map<string, PolicySet>();
    this.#byRules.set(rules, byName);
    const known = byName.get(name);
    if (known !== undefined) return known;
    const set = this.setOf(rules.flatMap((rule) => this.#policiesOf(rule, name)));
    byName.set(name, set);
    return set;
  }

  get names(): string[] {
    return [...this.#named.keys()];
  }

  has(name: string): boolean {
    return this.#named.has(name);
  }

  /** A limit of its own for each window, all under one name. */
  plain(name: string, limit: number, windowMs: number): PolicySet {
    const key = `${limit}:${windowMs}`;
    const known = this.#plain.get(key);
    if (known !== undefined) return known;
    const set = this.setOf(this.#read({ name, limit, window: `${windowMs}ms` }));
    remember(this.#plain, key, set);
    return set;
  }

  setOf(policies: readonly ResolvedPolicy[]): PolicySet {
    return new PolicySet(policies, this.options.consumeOnReject);
  }

  #policiesOf({ named, policies = [] }: RateLimitRule, name: string): readonly ResolvedPolicy[] {
    if (named !== undefined) return this.resolve(named).policies;
    return policies.map((policy) => resolvePolicy(policy, { name, onOutage: this.options.onOutage }));
  }

  #read(input: RateLimitPolicy | readonly RateLimitPolicy[]): ResolvedPolicy[] {
    const list = Array.isArray(input) ? (input as readonly RateLimitPolicy[]) : [input as RateLimitPolicy];
    if (list.length === 0) throw new InvalidOptionsError('Wrong rate limit policy', ['give at least one policy']);
    return list.map((policy) => resolvePolicy(policy, { onOutage: this.options.onOutage }));
  }

  #unknown(name: string): never {
    const meant = nearest(name, [...this.#named.keys()]);
    const hint = meant === undefined ? '' : `; did you mean '${meant}'?`;
    throw new InvalidOptionsError('Wrong rate limit policy', [`rateLimit.policies has no ${received(name)}${hint}`]);
  }
}

function remember(sets: Map<string, PolicySet>, key: string, set: PolicySet): void {
  if (sets.size >= MAX_SETS) sets.clear();
  sets.set(key, set);
}

const FLAT: ReadonlySet<string> = new Set(['string', 'number', 'boolean']);

/** Whether its text says all of it: a policy may hold functions, and what is undefined is not in a text. */
function isFlat(input: object): boolean {
  for (const value of Object.values(input)) if (!FLAT.has(typeof value)) return false;
  return !Array.isArray(input);
}
