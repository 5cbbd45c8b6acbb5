/** One call of a load. */
export interface Sample {
  /** When it began, in milliseconds of the monotonic clock. */
  readonly at: number;
  readonly tookMs: number;
  readonly error?: unknown;
}

/** No call is expected to take longer. */
const CALL_MS = 1_000;
/** Being late by less is nothing. */
const STALL_MS = 10;

/** Calls at a steady rate, whether or not the earlier ones have ended: 100 per second. */
export class Load {
  readonly samples: Sample[] = [];
  /** How long this machine stood still at worst, within the time of one call: no bound can be tighter than that. */
  lagMs = 0;
  private readonly timer: NodeJS.Timeout;
  private readonly pending = new Set<Promise<void>>();
  private stalls: { readonly at: number; readonly ms: number }[] = [];

  constructor(
    private readonly call: () => Promise<unknown>,
    private readonly everyMs = 10,
  ) {
    let dueAt = performance.now() + everyMs;
    this.timer = setInterval(() => {
      const now = performance.now();
      this.note(now, now - dueAt);
      dueAt = now + this.everyMs;
      this.begin();
    }, everyMs);
  }

  /** Calls that have not ended yet. */
  get underWay(): number {
    return this.pending.size;
  }

  since(time: number): Sample[] {
    return this.samples.filter(({ at }) => at >= time);
  }

  /** Resolves when the last call has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.pending);
  }

  /** A call may be hit by several of them. */
  private note(at: number, ms: number): void {
    this.stalls = this.stalls.filter((stall) => at - stall.at < CALL_MS);
    if (ms >= STALL_MS) this.stalls.push({ at, ms });
    const sum = this.stalls.reduce((total, stall) => total + stall.ms, 0);
    this.lagMs = Math.max(this.lagMs, ms, sum);
  }

  private begin(): void {
    const at = performance.now();
    const end = (error?: unknown) => {
      this.samples.push({ at, tookMs: performance.now() - at, ...(error !== undefined && { error }) });
      this.pending.delete(call);
    };
    const call = this.call().then(() => end(), end);
    this.pending.add(call);
  }
}

export const longest = (samples: readonly Sample[]): number => Math.max(0, ...samples.map(({ tookMs }) => tookMs));

export const median = (samples: readonly Sample[]): number =>
  samples.map(({ tookMs }) => tookMs).sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0;
