/** What can come of asking for a lock, and of holding it. */
export type LockEvent = 'acquired' | 'degraded' | 'conflicts' | 'unavailable' | 'lost';
export type LockCounts = Readonly<Record<LockEvent, number>>;

/** Counts since the start of the process, and what is held and waited for in it now. */
export interface LockMetrics extends LockCounts {
  readonly held: number;
  readonly waiting: number;
}

/** Counts what happens to locks in this process. */
export class LockCounter {
  readonly #counts: Record<LockEvent, number> = { acquired: 0, degraded: 0, conflicts: 0, unavailable: 0, lost: 0 };

  get counts(): LockCounts {
    return { ...this.#counts };
  }

  count(event: LockEvent): void {
    this.#counts[event] += 1;
  }
}
