import type { ResolvedReadOptions } from './read-options.resolver.ts';

/** When an entry may be refreshed before its end. */
type EarlyRefresh = Pick<ResolvedReadOptions, 'earlyRefresh' | 'ttlMs'>;

/** What is known of a fresh entry near its end. */
export interface Ageing {
  readonly remainingMs: number;
  /** How long its factory took. */
  readonly costMs: number;
}

/** Whether an entry has lived for the share of its TTL after which it may be refreshed. */
export const isAgeing = (remainingMs: number, { earlyRefresh, ttlMs }: EarlyRefresh): boolean =>
  earlyRefresh !== undefined && remainingMs < ttlMs * (1 - earlyRefresh);

/**
 * Whether this read should have a fresh value computed anew: more and more likely towards its end, the earlier the
 * longer the factory takes, so that callers of a busy key do not all find it gone at once (XFetch: Vattani, Chierichetti,
 * Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015). Never before the given share of the TTL.
 */
export function isDue(
  { remainingMs, costMs }: Ageing,
  options: EarlyRefresh,
  random: () => number = Math.random,
): boolean {
  if (!isAgeing(remainingMs, options)) return false;
  const windowMs = options.ttlMs * (1 - (options.earlyRefresh ?? 1));
  // A factory that takes no time would leave the refresh to the last moment; a tenth of the window leaves it some.
  const delta = Math.max(costMs, windowMs / 10);
  return remainingMs <= -delta * Math.log(1 - random());
}
