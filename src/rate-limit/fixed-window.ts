import type { QuotaCount } from './quota-count.ts';

/** What was spent since the current window began. Windows are the multiples of their length since the epoch. */
export class FixedWindow implements QuotaCount {
  #index = 0;
  #used = 0;
  #nowUs = 0;

  constructor(private readonly windowUs: number) {}

  /** In a clock that was set back, what was spent in the future counts as spent in this window. */
  at(nowUs: number): number {
    const index = Math.floor(nowUs / this.windowUs);
    if (index > this.#index) this.#used = 0;
    this.#index = index;
    this.#nowUs = nowUs;
    return this.#used;
  }

  add(units: number): void {
    this.#used += units;
  }

  remove(units: number): void {
    this.#used = Math.max(0, this.#used - units);
  }

  msUntil(units: number): number {
    return this.#used <= units ? 0 : Math.ceil(((this.#index + 1) * this.windowUs - this.#nowUs) / 1_000);
  }
}
