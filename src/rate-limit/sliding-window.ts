import type { QuotaCount } from './quota-count.ts';

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
 */
export class SlidingWindow implements QuotaCount {
  /** Oldest first. */
  #buckets: Bucket[] = [];
  #used = 0;
  #nowUs = 0;
  #current = 0;

  constructor(private readonly widthUs: number) {}

  at(nowUs: number): number {
    const current = Math.floor(nowUs / this.widthUs);
    this.#nowUs = nowUs;
    if (current !== this.#current) this.#turn(current);
    return this.#used;
  }

  add(units: number): void {
    const newest = this.#buckets.at(-1);
    if (newest?.index === this.#current) newest.units += units;
    else this.#buckets.push({ index: this.#current, units });
    this.#used += units;
  }

  remove(units: number): void {
    let left = Math.min(units, this.#used);
    this.#used -= left;
    for (let newest = this.#buckets.at(-1); newest && left > 0; newest = this.#buckets.at(-1)) {
      const taken = Math.min(left, newest.units);
      newest.units -= taken;
      left -= taken;
      if (newest.units === 0) this.#buckets.pop();
    }
  }

  msUntil(units: number): number {
    let left = this.#used;
    if (left <= units) return 0;
    // All of them are back when the latest ones are.
    if (units === 0) return this.#msUntilGone(this.#buckets.at(-1));
    const last = this.#buckets.find((bucket) => (left -= bucket.units) <= units);
    return this.#msUntilGone(last);
  }

  #msUntilGone(bucket: Bucket | undefined): number {
    return bucket === undefined ? 0 : Math.ceil(((bucket.index + BUCKETS + 1) * this.widthUs - this.#nowUs) / 1_000);
  }

  /** Drops the buckets no window can reach any more. */
  #turn(current: number): void {
    this.#current = current;
    this.#pullBack(current);
    for (let oldest = this.#buckets[0]; oldest && oldest.index < current - BUCKETS; oldest = this.#buckets[0]) {
      this.#used -= oldest.units;
      this.#buckets.shift();
    }
  }

  /** A clock that was set back leaves buckets in the future. They count as spent just now, which blocks for a window. */
  #pullBack(current: number): void {
    if ((this.#buckets.at(-1)?.index ?? 0) <= current) return;
    const future = this.#buckets.filter(({ index }) => index > current);
    this.#buckets = this.#buckets.filter(({ index }) => index <= current);
    for (const { units } of future) {
      this.#used -= units;
      this.add(units);
    }
  }
}
