import type { Circuit } from './circuit.ts';
import { checkFunction, type ErrorFilter } from './circuit.config.ts';
import type { CircuitCounts, CircuitState } from './circuit.stats.ts';

export type Operation<A extends unknown[], R> = (...args: A) => Promise<R>;

/** Gets the arguments of the call, then the error. */
export type Fallback<A extends unknown[], R> = (...args: [...A, error: Error]) => R | Promise<R>;

export type CircuitEvent =
  | 'fire'
  | 'success'
  | 'failure'
  | 'timeout'
  | 'reject'
  | 'semaphoreLocked'
  | 'fallback'
  | 'open'
  | 'halfOpen'
  | 'close';

/** What it hears depends on the event, as with opossum. */
export type CircuitListener = (...details: never[]) => void;

/**
 * One operation behind a circuit, with opossum's surface. Handles of one name share state, statistics and events, never
 * operations, arguments or fallbacks.
 *
 * @publicApi
 */
export class CircuitBreaker<A extends unknown[] = unknown[], R = unknown> {
  #fallback: Fallback<A, R> | undefined;

  constructor(
    private readonly circuit: Circuit,
    private readonly operation: Operation<A, R>,
    private readonly errorFilter?: ErrorFilter,
  ) {}

  get name(): string {
    return this.circuit.config.name;
  }

  get state(): CircuitState {
    return this.circuit.machine.state;
  }

  get closed(): boolean {
    return this.state === 'CLOSED';
  }

  /** Isolated circuits are, too. */
  get opened(): boolean {
    return this.state === 'OPEN' || this.state === 'ISOLATED';
  }

  get halfOpen(): boolean {
    return this.state === 'HALF_OPEN';
  }

  /** When a call is tried again, in milliseconds since the epoch; null unless open. */
  get nextTryAt(): number | null {
    return this.circuit.machine.nextTryAt;
  }

  get stats(): CircuitCounts {
    return this.circuit.stats;
  }

  /**
   * Runs the operation, unless the circuit refuses.
   * @throws CircuitOpenError or CircuitFullError when it did not run, CircuitTimeoutError, or what it rejects with
   */
  fire(...args: A): Promise<R> {
    return this.call(undefined, ...args);
  }

  /** The same with a `this` for the operation. */
  call(self: unknown, ...args: A): Promise<R> {
    const { circuit, operation, errorFilter } = this;
    const run = () => Reflect.apply(operation, self, args);
    const outcome = circuit.run(run, { args, errorFilter });
    const fallback = this.#fallback;
    if (fallback === undefined) return outcome;
    return outcome.catch((error: unknown) =>
      circuit.fallBack(error, (failure) => fallback(...args, failure), errorFilter),
    );
  }

  /** What to answer with when a call fails or is refused. Errors that do not count are passed on nevertheless. */
  fallback(fallback: Fallback<A, R>): this {
    checkFunction(fallback, 'fallback');
    this.#fallback = fallback;
    return this;
  }

  /** Events come from all handles of the name. A listener that throws disturbs neither calls nor other listeners. */
  on(event: CircuitEvent, listener: CircuitListener): this {
    this.circuit.machine.events.on(event, guarded(listener));
    return this;
  }

  off(event: CircuitEvent, listener: CircuitListener): this {
    this.circuit.machine.events.off(event, listener as (...details: unknown[]) => void);
    return this;
  }

  /** As if one call too many had failed: calls are tried again after the reset timeout. */
  open(): void {
    this.circuit.machine.open('opened by hand');
  }

  close(): void {
    this.circuit.machine.close();
  }
}

/** The circuit behind a handle, for those in this package who count every microsecond. */
// eslint-disable-next-line @typescript-eslint/dot-notation -- a friend of the class
export const circuitOf = <A extends unknown[], R>(handle: CircuitBreaker<A, R>): Circuit => handle['circuit'];

/** The operation of handles that bring another one to each call. */
export const runGiven = ((operation: () => Promise<unknown>) => operation()) as Operation<unknown[], unknown>;

/** `listener` is where `off` looks for the original. */
function guarded(listener: CircuitListener) {
  const call = (...details: unknown[]) => {
    try {
      listener(...(details as never[]));
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  };
  return Object.assign(call, { listener });
}
