/** How far back requests count. */
const WINDOW_S = 10;
/** Retries per second that are always allowed: where there is little to do, a share of it is nothing. */
const ALWAYS_PER_S = 3;

/**
 * Keeps retries from making an outage worse: they may be a share of the requests of the last ten seconds, and no more.
 */
export class RetryBudget {
  private readonly requests = new Array<number>(WINDOW_S).fill(0);
  private readonly retries = new Array<number>(WINDOW_S).fill(0);
  private second = 0;

  constructor(
    private readonly share: number,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  requested(): void {
    this.count(this.requests);
  }

  /** Whether there may be a retry now; it counts as one. */
  take(): boolean {
    this.moveOn();
    if (sum(this.retries) >= Math.max(this.share * sum(this.requests), ALWAYS_PER_S * WINDOW_S)) return false;
    this.count(this.retries);
    return true;
  }

  private count(counts: number[]): void {
    this.moveOn();
    const slot = this.second % WINDOW_S;
    counts[slot] = (counts[slot] ?? 0) + 1;
  }

  private moveOn(): void {
    const second = Math.floor(this.nowMs() / 1_000);
    const steps = Math.min(second - this.second, WINDOW_S);
    for (let step = 0; step < steps; step++) {
      const slot = (second - step) % WINDOW_S;
      this.requests[slot] = 0;
      this.retries[slot] = 0;
    }
    this.second = second;
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
