import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { as, duration, integer, type RulesOf, text } from '../common/option-rules.ts';
import { readOptions } from '../common/read-options.ts';
import { RATE_LIMIT_RULES, type ResolvedRateLimitModuleOptions } from './rate-limit.options.ts';

/** How much each subject may spend within any window. Read once: changing the object later has no effect. */
export interface RateLimitPolicy {
  /** Appears in decisions and keys: policies of one name and window count together. */
  readonly name: string;
  /** Units, by default calls, that are admitted within any window. At least 1. */
  readonly limit: number;
  readonly window: Duration;
  /** Without the server: count in this process, refuse (503), or admit. @default 'local' */
  readonly onOutage?: 'local' | 'reject' | 'allow';
}

export interface ResolvedRateLimitPolicy {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly onOutage: 'local' | 'reject' | 'allow';
}

export interface ConsumeOptions {
  /** Units this call spends, at most the limit. @default 1 */
  readonly cost?: number;
}

const RULES = {
  name: text('a name with at least one visible character', /\S/),
  limit: integer(1, Number.MAX_SAFE_INTEGER),
  window: as('windowMs', duration('1ms', '24855d')),
  onOutage: RATE_LIMIT_RULES.onOutage,
} satisfies RulesOf<RateLimitPolicy>;

/** @throws InvalidOptionsError that lists every fault */
export function resolvePolicy(
  policy: RateLimitPolicy,
  defaults: ResolvedRateLimitModuleOptions,
): ResolvedRateLimitPolicy {
  const faults: string[] = [];
  const { name, limit, windowMs, onOutage } = readOptions(policy, RULES, faults);
  if (faults.length === 0 && name !== undefined && limit !== undefined && windowMs !== undefined) {
    return { name, limit, windowMs, onOutage: onOutage ?? defaults.onOutage };
  }
  throw new InvalidOptionsError(
    'Wrong rate limit policy',
    faults.length > 0 ? faults : ['name, limit and window are required'],
  );
}

/** @throws InvalidOptionsError */
export function resolveCost(options: ConsumeOptions | undefined, { limit }: ResolvedRateLimitPolicy): number {
  if (options === undefined) return 1;
  const faults: string[] = [];
  const { cost = 1 } = readOptions(options, { cost: integer(1, limit) }, faults);
  if (faults.length > 0) throw new InvalidOptionsError('Wrong rate limit options', faults);
  return cost;
}

/** The name of a subject's count; what stands before the subject cannot be mistaken for a part of it. */
export const nameOfCount = ({ name, windowMs }: ResolvedRateLimitPolicy, subject: string): string =>
  `${name.replace(/[%:]/g, encodeURIComponent)}:${windowMs}:${subject}`;
