import { EventEmitter } from 'node:events';
import Opossum from 'opossum';
import type { ResolvedCircuitConfig } from './circuit.config.ts';
import type { CircuitChange, CircuitState } from './circuit.stats.ts';

/** The window moves on by one slice at a time. */
const SLICES = 10;
/** In a window full of successes the share of failures stays low for long: so many in a row say enough. */
const ENOUGH_IN_A_ROW = 100;

/** In place of opossum's list of how long each call took, which only its percentiles would read. */
const NO_TIMES: number[] = Object.assign([], { push: () => 0 });

/** How a call ended. `era`: the state of the circuit it was admitted in, counted from the first. */
export interface Ending {
  readonly era: number;
  readonly tookMs: number;
  /** For those who listen to events. */
  readonly args: readonly unknown[];
}

/**
 * Decides when a circuit opens and closes.
 *
 * opossum keeps the state with its timer, counts the window and tells the events. Calls do not go through its `fire`,
 * though: that admits one trial call whatever is configured, takes a full circuit for a failure of what is called, and
 * lets calls from before an outage decide when it is over. It hears of their outcomes by the events that it counts.
 */
export class CircuitMachine {
  readonly #breaker: Opossum;
  readonly #window = new EventEmitter();
  readonly #slices: NodeJS.Timeout;
  #state: CircuitState = 'CLOSED';
  #era = 0;
  #reason = '';
  #openedAt = 0;
  #trials = 0;
  #failuresInARow = 0;
  #isIsolated = false;
  #isBypassed = false;
  #isShutdown = false;

  constructor(
    private readonly config: ResolvedCircuitConfig,
    private readonly onChange: (change: CircuitChange) => void,
  ) {
    this.#breaker = new Opossum(() => Promise.resolve(), {
      name: config.name,
      timeout: false,
      resetTimeout: config.resetTimeoutMs,
      rollingCountBuckets: SLICES,
      rotateBucketController: this.#window,
      // With these, a failure costs milliseconds when the window is full.
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    });
    this.#breaker.on('open', () => this.#move('OPEN'));
    this.#breaker.on('halfOpen', () => this.#move('HALF_OPEN'));
    this.#breaker.on('close', () => this.#move('CLOSED'));
    this.#beginSlice();
    this.#slices = setInterval(() => this.#beginSlice(), config.windowMs / SLICES).unref();
  }

  get state(): CircuitState {
    return this.#state;
  }

  get era(): number {
    return this.#era;
  }

  get isShutdown(): boolean {
    return this.#isShutdown;
  }

  /** When a call is tried again, in milliseconds since the epoch; null unless open. */
  get nextTryAt(): number | null {
    return this.#state === 'OPEN' ? this.#openedAt + this.config.resetTimeoutMs : null;
  }

  /** fire, success, failure, timeout, reject, semaphoreLocked, fallback, open, halfOpen, close */
  get events(): EventEmitter {
    return this.#breaker;
  }

  /** Whether a call may pass now; while half-open each answer of true is for one trial call. */
  admits(): boolean {
    if (this.#isBypassed) return true;
    if (this.#state !== 'HALF_OPEN') return this.#state === 'CLOSED';
    if (this.#trials >= this.config.halfOpenMaxCalls) return false;
    this.#trials += 1;
    return true;
  }

  succeeded({ era, tookMs }: Ending, result: unknown): void {
    if (era === this.#era) this.#failuresInARow = 0;
    // opossum would close at the success of any call, not just of a trial.
    else if (this.#breaker.halfOpen) return;
    this.#reason = 'a trial call succeeded';
    this.#breaker.emit('success', result, tookMs);
  }

  failed({ era, tookMs, args }: Ending, error: unknown): void {
    this.#breaker.emit('failure', error, tookMs, args);
    if (era !== this.#era) return;
    this.#failuresInARow += 1;
    const reason = this.#reasonToOpen();
    if (reason !== undefined) this.open(reason);
  }

  open(reason: string): void {
    if (this.#isShutdown) return;
    this.#reason = reason;
    this.#breaker.open();
  }

  /** Refuses every call until `close`. */
  isolate(): void {
    this.#isIsolated = true;
    this.#isBypassed = false;
    this.open('isolated by hand');
    this.#move('ISOLATED');
  }

  /** Lets every call through, whatever comes of it, until `close` or `isolate`. */
  bypass(): void {
    this.close();
    this.#isBypassed = !this.#isShutdown;
  }

  get isBypassed(): boolean {
    return this.#isBypassed;
  }

  /** Lets calls through again, whatever kept them out. */
  close(): void {
    if (this.#isShutdown) return;
    this.#isIsolated = false;
    this.#isBypassed = false;
    this.#reason = 'closed by hand';
    this.#breaker.close();
  }

  /** What happened so far has no part in when the circuit opens. */
  forget(): void {
    this.#failuresInARow = 0;
    for (let slice = 0; slice < SLICES; slice += 1) this.#beginSlice();
  }

  /** Ends the timers. */
  shutdown(): void {
    this.#isShutdown = true;
    clearInterval(this.#slices);
    this.#breaker.shutdown();
  }

  #beginSlice(): void {
    this.#window.emit('rotate');
    const [slice] = this.#breaker.status.window;
    if (slice !== undefined) slice.latencyTimes = NO_TIMES;
  }

  #reasonToOpen(): string | undefined {
    if (this.#isBypassed) return undefined;
    const { errorThresholdPercentage, volumeThreshold, windowMs } = this.config;
    if (this.#state === 'HALF_OPEN') return 'a trial call failed';
    if (errorThresholdPercentage === 100) return undefined;
    if (this.#failuresInARow >= ENOUGH_IN_A_ROW) return `${ENOUGH_IN_A_ROW} calls in a row failed`;
    const { failures, calls } = this.#countWindow();
    if (calls < volumeThreshold || (failures / calls) * 100 <= errorThresholdPercentage) return undefined;
    return `${failures} of ${calls} calls within ${windowMs} ms failed`;
  }

  /** What `stats` of opossum would say, for a twentieth of its price: this is asked at every failure. */
  #countWindow(): { failures: number; calls: number } {
    let [failures, calls] = [0, 0];
    for (const slice of this.#breaker.status.window) {
      failures += slice.failures;
      calls += slice.failures + slice.successes;
    }
    return { failures, calls };
  }

  #move(next: CircuitState): void {
    const from = this.#state;
    const to = this.#isIsolated ? 'ISOLATED' : next;
    if (from === to) return;
    this.#state = to;
    this.#era += 1;
    this.#trials = 0;
    if (to === 'OPEN') this.#openedAt = Date.now();
    // What failed before the break must not open the circuit again at the first new failure.
    if (to === 'CLOSED') this.forget();
    const reason = to === 'HALF_OPEN' ? 'the break is over' : this.#reason;
    this.onChange({ name: this.config.name, from, to, reason, nextTryAt: this.nextTryAt });
  }
}
