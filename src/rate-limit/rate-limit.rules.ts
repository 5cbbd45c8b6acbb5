import type { RateLimitPolicy } from './rate-limit.policy.ts';

/** What one `@RateLimit` says. */
export interface RateLimitRule {
  /** The name of a policy in the module's options. */
  readonly named?: string;
  /** Policies of its own; without a name, the method's is theirs. */
  readonly policies?: readonly Partial<RateLimitPolicy>[];
}

const RULES = Symbol.for('nestjs-keep:rate-limit');
const SKIPPED = Symbol.for('nestjs-keep:skip-rate-limit');

/** Those of a method or class itself, the innermost first. */
export const rulesOn = (target: object): readonly RateLimitRule[] =>
  (Reflect.getMetadata(RULES, target) ?? []) as readonly RateLimitRule[];

export const addRule = (target: object, rule: RateLimitRule): void =>
  Reflect.defineMetadata(RULES, [...rulesOn(target), rule], target);

export const isSkipped = (target: object): boolean => Reflect.getMetadata(SKIPPED, target) === true;

export const skip = (target: object): void => Reflect.defineMetadata(SKIPPED, true, target);

/**
 * What applies to a handler: what stands on the method, or else on its class; undefined when nothing does, which leaves
 * it to the module's `default`. What is skipped has no rules.
 */
export function rulesFor(handler: object, host: object): readonly RateLimitRule[] | undefined {
  for (const target of [handler, host]) {
    const rules = rulesOn(target);
    if (isSkipped(target)) return [];
    if (rules.length > 0) return rules;
  }
  return undefined;
}
