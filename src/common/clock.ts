/** Where a component reads the time from, so that a test can move it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** Does not jump when the machine's time is set: a lease must not end here while its holder still counts on it. */
export const steadyClock: Clock = { now: () => performance.timeOrigin + performance.now() };

/**
 * The time as it was when this turn of the event loop first asked: one look at the clock serves every read of the turn.
 * It lags by no more than the turn lasts.
 */
export class TurnClock implements Clock {
  private time = 0;
  private isCurrent = false;

  constructor(private readonly clock: Clock = systemClock) {}

  now(): number {
    return this.isCurrent ? this.time : this.look();
  }

  private look(): number {
    this.time = this.clock.now();
    this.isCurrent = true;
    setImmediate(() => (this.isCurrent = false)).unref();
    return this.time;
  }
}
