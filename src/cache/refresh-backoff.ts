import { BoundedMap } from '../common/bounded-map.ts';
import type { Clock } from '../common/clock.ts';

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;
const LIMITS = { maxEntries: 10_000, maxBytes: 4 * 1024 ** 2 };

interface Pause {
  readonly untilMs: number;
  readonly pauseMs: number;
}

/** Leaves a source that fails alone for a while: 1 s after the first failure, twice as long after each further one. */
export class RefreshBackoff {
  private readonly pauses = new BoundedMap<Pause>(LIMITS);

  constructor(private readonly clock: Clock) {}

  /** Whether a refresh of this key failed a moment ago. */
  isPaused(key: string): boolean {
    const pause = this.pauses.get(key);
    return pause !== undefined && this.clock.now() < pause.untilMs;
  }

  failed(key: string): void {
    const last = this.pauses.get(key);
    const pauseMs = last === undefined ? FIRST_MS : Math.min(2 * last.pauseMs, LONGEST_MS);
    this.pauses.set(key, { pauseMs, untilMs: this.clock.now() + pauseMs }, 32);
  }

  succeeded(key: string): void {
    this.pauses.delete(key);
  }
}
