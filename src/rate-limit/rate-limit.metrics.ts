/** What was decided, since the application started. */
export interface RateLimitMetrics {
  readonly allowed: number;
  readonly refused: number;
  /** Of those refused: answered here, because the server had refused the same before. */
  readonly refusedFromMemory: number;
  /** Allowed although a policy in shadow would have refused. */
  readonly shadowed: number;
  /** Decided without the server. */
  readonly degraded: number;
  /** Blocks imposed by `escalate`. */
  readonly escalated: number;
}

/** The same, being counted. */
export type RateLimitCounters = { -readonly [K in keyof RateLimitMetrics]: number };

export const noRateLimitCounts = (): RateLimitCounters => ({
  allowed: 0,
  refused: 0,
  refusedFromMemory: 0,
  shadowed: 0,
  degraded: 0,
  escalated: 0,
});
