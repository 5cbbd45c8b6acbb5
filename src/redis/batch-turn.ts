/**
 * Says when a batch leaves: while nothing is in flight at the end of the current callback, so a lone caller waits for
 * nobody; otherwise at the end of the turn of the event loop, when all callers woken by the same reply have asked again.
 */
export class BatchTurn {
  #inFlight = 0;
  #isScheduled = false;

  constructor(private readonly flush: () => void) {}

  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const flush = () => {
      this.#isScheduled = false;
      this.flush();
    };
    if (this.#inFlight === 0) process.nextTick(flush);
    else setImmediate(flush);
  }

  /** A batch was sent. */
  began(): void {
    this.#inFlight += 1;
  }

  /** It was answered, or has failed. */
  ended(): void {
    this.#inFlight -= 1;
  }
}
