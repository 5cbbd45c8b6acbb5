/** From a tenth of a millisecond to five seconds; what took longer is in a last bucket of its own. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000,
];

/** For what is shown once per name: a scrape has a line for each bound. */
export const COARSE_BOUNDS_MS: readonly number[] = [1, 5, 10, 50, 100, 500, 1_000, 5_000];

/** How long things took, in fixed buckets: a few numbers, however many there are. They only grow. */
export class Histogram {
  /** One more than there are bounds: the last is for what is over all of them. */
  readonly counts: number[];
  sumMs = 0;

  constructor(readonly boundsMs: readonly number[] = LATENCY_BOUNDS_MS) {
    this.counts = new Array<number>(boundsMs.length + 1).fill(0);
  }

  get count(): number {
    return this.counts.reduce((total, count) => total + count, 0);
  }

  record(ms: number): void {
    const { boundsMs, counts } = this;
    let bucket = 0;
    while (bucket < boundsMs.length && ms > (boundsMs[bucket] ?? 0)) bucket++;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
    this.sumMs += ms;
  }

  clear(): void {
    this.counts.fill(0);
    this.sumMs = 0;
  }
}

/**
 * The time within which `share` (0–1) of what was counted ended, in milliseconds: between the bounds of its bucket as if
 * it were spread evenly, the last bound for what is over it, 0 when nothing was counted.
 */
export function quantileOf(counts: readonly number[], share: number, boundsMs = LATENCY_BOUNDS_MS): number {
  const wanted = share * counts.reduce((total, count) => total + count, 0);
  if (wanted === 0) return 0;
  let below = 0;
  for (const [bucket, bound] of boundsMs.entries()) {
    const inside = counts[bucket] ?? 0;
    if (below + inside >= wanted) {
      const from = boundsMs[bucket - 1] ?? 0;
      return Number((from + (bound - from) * ((wanted - below) / inside)).toPrecision(3));
    }
    below += inside;
  }
  return boundsMs.at(-1) ?? 0;
}
