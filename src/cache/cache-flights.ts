import { FlightContext, Flights } from '../common/flights.ts';
import type { Outcome } from './cache-stack.ts';

/** What is being read and computed in this process, and may be joined. */
export class CacheFlights {
  /** Whole reads: a burst of callers of one key looks once. */
  readonly reads = new Flights<Outcome<unknown>>();
  /** Factory runs: they may outlive the read that began them. */
  readonly refreshes = new Flights<Outcome<unknown>>();
  readonly context = new FlightContext();

  /** From now on nobody joins what is under way for these keys: it may show what was before an invalidation. */
  forget(keys: readonly string[]): void {
    for (const key of keys) {
      this.reads.forget(key);
      this.refreshes.forget(key);
    }
  }

  forgetMatching(matches: (key: string) => boolean): void {
    this.reads.forgetMatching(matches);
    this.refreshes.forgetMatching(matches);
  }

  forgetAll(): void {
    this.reads.forgetAll();
    this.refreshes.forgetAll();
  }

  /** Resolves when everything that is under way now has ended. */
  async settled(): Promise<void> {
    await Promise.all([this.reads.settled(), this.refreshes.settled()]);
  }
}
