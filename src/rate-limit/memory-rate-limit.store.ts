import { BoundedMap } from '../common/bounded-map.ts';
import { type Clock, systemClock } from '../common/clock.ts';
import type { Quota, QuotaState, RateLimitStore } from './rate-limit-store.interface.ts';
import { SlidingWindow } from './sliding-window.ts';

/** A window with all its buckets. */
const WINDOW_BYTES = 700;
const LIMITS = { maxEntries: 100_000, maxBytes: 32 * 1024 ** 2 };

/** Counts in this process only, for memory mode and for outages. Where room is short, subjects seen once are forgotten first. */
export class MemoryRateLimitStore implements RateLimitStore {
  readonly #windows: BoundedMap<SlidingWindow>;
  readonly #clock: Clock;

  constructor(clock: Clock = systemClock, limits = LIMITS) {
    this.#clock = clock;
    this.#windows = new BoundedMap(limits);
  }

  consume(key: string, { limit, windowMs }: Quota, cost: number): QuotaState {
    return this.#windowOf(key, windowMs).consume(this.#nowUs(), limit, cost);
  }

  check(key: string, { limit, windowMs }: Quota): QuotaState {
    const window = this.#windows.get(key) ?? new SlidingWindow(windowMs);
    return window.check(this.#nowUs(), limit);
  }

  reset(key: string): void {
    this.#windows.delete(key);
  }

  #windowOf(key: string, windowMs: number): SlidingWindow {
    const known = this.#windows.get(key);
    if (known !== undefined) return known;
    const window = new SlidingWindow(windowMs);
    this.#windows.set(key, window, WINDOW_BYTES);
    return window;
  }

  #nowUs(): number {
    return Math.floor(this.#clock.now() * 1_000);
  }
}
