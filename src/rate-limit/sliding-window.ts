import type { QuotaState } from './rate-limit-store.interface.ts';

/** Into how many buckets a window is cut: the more, the sooner spent units come back, and the more there is to keep. */
const BUCKETS = 12;

export const bucketWidthUs = (windowMs: number): number => Math.ceil((windowMs * 1_000) / BUCKETS);

interface Bucket {
  /** Number of the bucket since the epoch. */
  readonly index: number;
  units: number;
}

/**
 * What was spent in the last window, counted in buckets of a twelfth of it.
 *
 * A window that ends now begins somewhere inside the thirteenth bucket back. That one is counted whole: some units
 * come back up to a twelfth of the window late, and no window ever admits more than the limit.
 *
 * Times are whole microseconds. `rate-limit.lua.ts` is the same algorithm on the server.
 */
export class SlidingWindow {
  readonly #widthUs: number;
  /** Oldest first. */
  #buckets: Bucket[] = [];
  #used = 0;

  constructor(windowMs: number) {
    this.#widthUs = bucketWidthUs(windowMs);
  }

  consume(nowUs: number, limit: number, cost: number): QuotaState {
    const current = this.#advance(nowUs);
    const allowed = this.#used + cost <= limit;
    if (allowed) this.#add(current, cost);
    return this.#state(nowUs, limit, cost, allowed);
  }

  check(nowUs: number, limit: number): QuotaState {
    this.#advance(nowUs);
    return this.#state(nowUs, limit, 1, this.#used < limit);
  }

  /** Drops the buckets no window can reach any more, and answers with the index of the current one. */
  #advance(nowUs: number): number {
    const current = Math.floor(nowUs / this.#widthUs);
    this.#pullBack(current);
    for (let oldest = this.#buckets[0]; oldest && oldest.index < current - BUCKETS; oldest = this.#buckets[0]) {
      this.#used -= oldest.units;
      this.#buckets.shift();
    }
    return current;
  }

  /** A clock that was set back leaves buckets in the future. They count as spent just now, which blocks for a window. */
  #pullBack(current: number): void {
    if ((this.#buckets.at(-1)?.index ?? 0) <= current) return;
    const future = this.#buckets.filter(({ index }) => index > current);
    this.#buckets = this.#buckets.filter(({ index }) => index <= current);
    for (const { units } of future) {
      this.#used -= units;
      this.#add(current, units);
    }
  }

  #add(index: number, units: number): void {
    const newest = this.#buckets.at(-1);
    if (newest?.index === index) newest.units += units;
    else this.#buckets.push({ index, units });
    this.#used += units;
  }

  #state(nowUs: number, limit: number, cost: number, allowed: boolean): QuotaState {
    return {
      allowed,
      remaining: Math.max(0, limit - this.#used),
      resetMs: this.#msUntilGone(this.#buckets.at(-1), nowUs),
      retryAfterMs: allowed ? 0 : this.#msUntilGone(this.#lastInTheWay(limit - cost), nowUs),
    };
  }

  /** The bucket after whose end no more than `units` are left. */
  #lastInTheWay(units: number): Bucket | undefined {
    let left = this.#used;
    return this.#buckets.find((bucket) => (left -= bucket.units) <= units);
  }

  #msUntilGone(bucket: Bucket | undefined, nowUs: number): number {
    return bucket === undefined ? 0 : Math.ceil(((bucket.index + BUCKETS + 1) * this.#widthUs - nowUs) / 1_000);
  }
}
