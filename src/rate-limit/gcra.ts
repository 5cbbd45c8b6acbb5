import type { QuotaCount } from './quota-count.ts';

/** A bucket that fills up evenly, kept as the time at which it is full again (“theoretical arrival time”). */
export class Gcra implements QuotaCount {
  #fullAtUs = 0;
  #nowUs = 0;

  /** @param unitUs how long it takes until one unit is back */
  constructor(private readonly unitUs: number) {}

  /** A clock that was set back leaves the bucket empty at worst. */
  at(nowUs: number, capacity: number): number {
    this.#nowUs = nowUs;
    this.#fullAtUs = Math.min(this.#fullAtUs, nowUs + capacity * this.unitUs);
    return Math.max(0, Math.ceil((this.#fullAtUs - nowUs) / this.unitUs));
  }

  add(units: number): void {
    this.#fullAtUs = Math.max(this.#fullAtUs, this.#nowUs) + units * this.unitUs;
  }

  remove(units: number): void {
    this.#fullAtUs -= units * this.unitUs;
  }

  msUntil(units: number): number {
    return Math.max(0, Math.ceil((this.#fullAtUs - units * this.unitUs - this.#nowUs) / 1_000));
  }
}
