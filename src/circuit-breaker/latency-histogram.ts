const SMALLEST_MS = 0.01;
/** Each bucket is this much wider than the one before, so a quantile is off by 5 % at most. */
const GROWTH = 1.1;
const LOG_GROWTH = Math.log(GROWTH);
/** Reaches from 0.01 ms to 13 minutes. */
const BUCKETS = 192;
const GENERATION_MS = 30_000;

/** How long calls took over the last half to one minute. It never grows, however many calls there are. */
export class LatencyHistogram {
  #current = new Uint32Array(BUCKETS);
  #previous = new Uint32Array(BUCKETS);
  #startedAt = performance.now();

  record(ms: number, now = performance.now()): void {
    this.#age(now);
    const exact = Math.ceil(Math.log(ms / SMALLEST_MS) / LOG_GROWTH);
    const bucket = Math.min(Math.max(exact, 0), BUCKETS - 1);
    this.#current[bucket] = (this.#current[bucket] ?? 0) + 1;
  }

  /** The time within which `share` (0–1) of the calls ended, in milliseconds; 0 without calls. */
  quantile(share: number): number {
    this.#age(performance.now());
    let missing = Math.ceil(share * (sum(this.#current) + sum(this.#previous)));
    if (missing === 0) return 0;
    let bucket = -1;
    while (missing > 0) {
      bucket += 1;
      missing -= (this.#current[bucket] ?? 0) + (this.#previous[bucket] ?? 0);
    }
    return Number((SMALLEST_MS * GROWTH ** (bucket - 0.5)).toPrecision(3));
  }

  clear(): void {
    this.#current.fill(0);
    this.#previous.fill(0);
  }

  #age(now: number): void {
    const ageMs = now - this.#startedAt;
    if (ageMs < GENERATION_MS) return;
    this.#startedAt = now;
    [this.#current, this.#previous] = [this.#previous.fill(0), this.#current];
    if (ageMs > 2 * GENERATION_MS) this.clear();
  }
}

const sum = (counts: Uint32Array): number => counts.reduce((total, count) => total + count, 0);
