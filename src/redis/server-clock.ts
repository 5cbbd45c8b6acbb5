const REFRESH_EVERY_MS = 60_000;

/** The server's clock, estimated: only its distance from our monotonic clock is kept, so ours may be set meanwhile. */
export class ServerClock {
  #offsetMs: number | undefined;
  #learnedAt = -Infinity;

  /**
   * Milliseconds since the epoch; this machine's clock until the server was asked once.
   * @param outdated called when the server should be asked again
   */
  now(outdated: () => void = () => undefined): number {
    // One look at the clock for both: every read on the server needs the time.
    const passedMs = performance.now();
    if (passedMs - this.#learnedAt > REFRESH_EVERY_MS) outdated();
    return this.#offsetMs === undefined ? Date.now() : Math.round(passedMs + this.#offsetMs);
  }

  /** Asks for the server's time (`TIME`: seconds, microseconds), assuming that it was read half-way through the trip. */
  async learn(askTime: () => Promise<readonly (number | string)[]>): Promise<void> {
    // Marked first, so that a clock nobody answers is asked again only after the next interval.
    const askedAt = (this.#learnedAt = performance.now());
    const [seconds, microseconds] = await askTime();
    const middle = (askedAt + performance.now()) / 2;
    this.#offsetMs = Number(seconds) * 1_000 + Number(microseconds) / 1_000 - middle;
  }
}
