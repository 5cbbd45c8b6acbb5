/** One call of a load. */
export interface Sample {
  /** When it began, in milliseconds of the monotonic clock. */
  readonly at: number;
  readonly tookMs: number;
  readonly error?: unknown;
}

/** Calls at a steady rate, whether or not the earlier ones have ended: 100 per second. */
export class Load {
  readonly samples: Sample[] = [];
  /** By how much this machine was late at worst: no bound on a call can be tighter than that. */
  lagMs = 0;
  private readonly timer: NodeJS.Timeout;
  private readonly pending = new Set<Promise<void>>();

  constructor(
    private readonly call: () => Promise<unknown>,
    private readonly everyMs = 10,
  ) {
    let dueAt = performance.now() + everyMs;
    this.timer = setInterval(() => {
      this.lagMs = Math.max(this.lagMs, performance.now() - dueAt);
      dueAt = performance.now() + this.everyMs;
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
