import type { LockCounts, Telemetry } from '../common/telemetry.ts';

/** Counts since the start of the process, and what is held and waited for in it now. */
export interface LockMetrics {
  readonly acquired: number;
  /** Taken without the server. */
  readonly degraded: number;
  readonly conflicts: number;
  readonly unavailable: number;
  readonly lost: number;
  readonly held: number;
  readonly waiting: number;
}

/** Counts what happens to locks in this process: under the names that decorators give them, all others together. */
export class LockCounter {
  /** Looked up once: most locks are taken by no decorator. */
  #unnamed: LockCounts | undefined;

  constructor(private readonly telemetry: Telemetry) {}

  /** @param name what `@WithLock` calls it; undefined for what no decorator has declared */
  count(outcome: keyof LockCounts, name: string | undefined): void {
    const counts =
      name === undefined ? (this.#unnamed ??= this.telemetry.locks.of(name)) : this.telemetry.locks.of(name);
    counts[outcome] += 1;
    this.telemetry.onLock?.(outcome, name);
  }

  /** Somebody got an answer, after so long. */
  waited(ms: number): void {
    this.telemetry.lockWaits.record(ms);
  }

  taken(): void {
    this.telemetry.locksHeld += 1;
  }

  /** It was given back or lost. */
  ended(heldMs: number): void {
    this.telemetry.locksHeld -= 1;
    this.telemetry.lockHolds.record(heldMs);
  }

  metrics(waiting: number): LockMetrics {
    const sum = (outcome: keyof LockCounts): number =>
      [...this.telemetry.locks.values()].reduce((total, counts) => total + counts[outcome], 0);
    return {
      ...{ acquired: sum('acquired'), degraded: sum('degraded'), conflicts: sum('conflict') },
      ...{ unavailable: sum('unavailable'), lost: sum('lost') },
      ...{ held: this.telemetry.locksHeld, waiting },
    };
  }
}
