import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { errorKind } from '../common/error-kind.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import type { Histogram } from '../common/histogram.ts';
import { assertOptions } from '../common/read-options.ts';
import { quoted } from './circuit-breaker.errors.ts';
import { CircuitBreaker, type Operation, runGiven } from './circuit-breaker.handle.ts';
import { CIRCUIT_BREAKER_DEFAULTS, type ResolvedCircuitBreakerModuleOptions } from './circuit-breaker.options.ts';
import { Circuit } from './circuit.ts';
import {
  checkAgreement,
  checkFunction,
  type CircuitBreakerConfig,
  readCircuitConfig,
  withModuleDefaults,
} from './circuit.config.ts';
import type { CircuitBreakerStats, CircuitChange } from './circuit.stats.ts';

/** A circuit is never given up, so names made of data would fill the memory. */
const MAX_CIRCUITS = 1_000;

export interface ExecuteOptions<R> extends Partial<Omit<CircuitBreakerConfig, 'name'>> {
  /** What to answer with when the call fails or is refused. Errors that do not count are passed on nevertheless. */
  readonly fallback?: (error: Error) => R | Promise<R>;
}

/** Where changes of state are told; Nest's `Logger` fits. */
export interface CircuitLogger {
  log(message: string): void;
  warn(message: string): void;
}

const SILENT: CircuitLogger = { log: () => undefined, warn: () => undefined };

/** A circuit and the handles of its operations, which last as long as their operations do. */
interface Entry {
  readonly circuit: Circuit;
  readonly handles: WeakMap<object, unknown>;
  first: CircuitBreaker | undefined;
}

/**
 * Named circuits: when what is behind one fails too often it is left alone for a while, and calls are refused at once.
 * State and statistics are those of this process.
 *
 * @publicApi
 */
@Injectable()
export class CircuitBreakerService implements OnApplicationShutdown {
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<{ readonly listener: (change: CircuitChange) => void }>();
  readonly #refusalListeners = new Set<{ readonly listener: (name: string) => void }>();

  constructor(
    private readonly defaults: ResolvedCircuitBreakerModuleOptions = CIRCUIT_BREAKER_DEFAULTS,
    private readonly logger: CircuitLogger = SILENT,
  ) {}

  /**
   * A handle that runs the operation behind the circuit of that name; the same operation gets the same handle.
   * @throws InvalidOptionsError for an operation that is no function, and for options that are wrong, or differ from those the circuit was made with
   */
  create<A extends unknown[], R>(operation: Operation<A, R>, config: CircuitBreakerConfig): CircuitBreaker<A, R> {
    checkFunction(operation, 'operation');
    const entry = this.#entryOf(config);
    const known = entry.handles.get(operation);
    if (known !== undefined) return known as CircuitBreaker<A, R>;
    const handle = new CircuitBreaker(entry.circuit, operation, config.errorFilter);
    entry.handles.set(operation, handle);
    entry.first ??= handle as unknown as CircuitBreaker;
    return handle;
  }

  /**
   * Runs one operation behind the circuit of that name, which is made at its first use. The signal aborts when the
   * operation takes longer than the timeout.
   * @throws CircuitOpenError or CircuitFullError when it did not run, CircuitTimeoutError, or what it rejects with
   */
  async execute<R>(
    name: string,
    operation: (signal: AbortSignal) => Promise<R>,
    options: ExecuteOptions<R> = {},
  ): Promise<R> {
    checkFunction(operation, 'operation');
    assertOptions(options, 'This circuit breaker cannot be used');
    const { fallback, ...config } = options;
    if (fallback !== undefined) checkFunction(fallback, 'fallback');
    const { circuit } = this.#entryOf({ ...config, name });
    const { errorFilter } = config;
    const controller = new AbortController();
    const late = (error: Error) => {
      controller.abort(error);
      return error;
    };
    try {
      return await circuit.run(() => operation(controller.signal), { errorFilter, late });
    } catch (error) {
      if (fallback === undefined) throw error;
      return circuit.fallBack(error, fallback, errorFilter);
    }
  }

  /** The first handle of that name, or one that runs what `fire` is given; undefined when no circuit has the name. */
  get(name: string): CircuitBreaker | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    entry.first ??= new CircuitBreaker(entry.circuit, runGiven);
    return entry.first;
  }

  getStats(): Record<string, CircuitBreakerStats> {
    return Object.fromEntries([...this.#entries].map(([name, { circuit }]) => [name, circuit.describe()]));
  }

  /** How long the calls took since the start; undefined when no circuit has the name. */
  durationsOf(name: string): Histogram | undefined {
    return this.#entries.get(name)?.circuit.durations;
  }

  /** Closes the circuit and forgets what happened so far; false when no circuit has the name. */
  reset(name: string): boolean {
    return this.#with(name, (circuit) => circuit.reset());
  }

  resetAll(): void {
    for (const { circuit } of this.#entries.values()) circuit.reset();
  }

  /** Refuses every call until `close` or `reset`; false when no circuit has the name. */
  isolate(name: string): boolean {
    return this.#with(name, (circuit) => circuit.machine.isolate());
  }

  /** Lets calls through again, whatever kept them out; false when no circuit has the name. */
  close(name: string): boolean {
    return this.#with(name, (circuit) => circuit.machine.close());
  }

  /** Lets every call through, whatever comes of it, until `close`, `reset` or `isolate`; false when no circuit has the name. */
  bypass(name: string): boolean {
    return this.#with(name, (circuit) => circuit.machine.bypass());
  }

  /** Calls `listener` at every change of any circuit; the result stops it. */
  onStateChange(listener: (change: CircuitChange) => void): () => void {
    const entry = { listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Calls `listener` with the name of the circuit at every call that is refused, before it rejects; the result stops it. */
  onRefusal(listener: (name: string) => void): () => void {
    const entry = { listener };
    this.#refusalListeners.add(entry);
    return () => void this.#refusalListeners.delete(entry);
  }

  /** Ends every timer. Calls are run without protection from then on. */
  onApplicationShutdown(): void {
    for (const { circuit } of this.#entries.values()) circuit.machine.shutdown();
  }

  #entryOf(config: CircuitBreakerConfig): Entry {
    const known = this.#entries.get((config as CircuitBreakerConfig | undefined | null)?.name ?? '');
    // Most calls bring nothing but the name.
    if (known !== undefined && Object.keys(config).length === 1) return known;
    const given = readCircuitConfig(config);
    if (known !== undefined) {
      checkAgreement(given, known.circuit.config);
      return known;
    }
    if (this.#entries.size >= MAX_CIRCUITS) {
      throw new InvalidOptionsError(`The circuit ${quoted(config.name)} cannot be made`, [
        `name: there are ${MAX_CIRCUITS} circuits already; names must not be made of data`,
      ]);
    }
    const circuit = new Circuit(
      withModuleDefaults(given, this.defaults),
      (change) => this.#tell(circuit, change),
      () => this.#tellAll(this.#refusalListeners, config.name, config.name),
    );
    const entry: Entry = { circuit, handles: new WeakMap(), first: undefined };
    this.#entries.set(config.name, entry);
    return entry;
  }

  #with(name: string, act: (circuit: Circuit) => void): boolean {
    const entry = this.#entries.get(name);
    if (entry !== undefined) act(entry.circuit);
    return entry !== undefined;
  }

  #tell({ config }: Circuit, change: CircuitChange): void {
    if (!config.isQuiet) write(this.logger, change);
    this.#tellAll(this.#listeners, change.name, change);
  }

  #tellAll<E>(listeners: ReadonlySet<{ readonly listener: (event: E) => void }>, name: string, event: E): void {
    for (const { listener } of [...listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.logger.warn(`A listener for circuit ${quoted(name)} failed: ${errorKind(error)}`);
      }
    }
  }
}

const WORDS = { CLOSED: 'closed', OPEN: 'open', HALF_OPEN: 'half-open', ISOLATED: 'isolated' } as const;

function write(logger: CircuitLogger, { name, to, reason, nextTryAt }: CircuitChange): void {
  const next = nextTryAt === null ? '' : `; calls are tried again in ${nextTryAt - Date.now()} ms`;
  const line = `Circuit ${quoted(name)} is ${WORDS[to]}: ${reason}${next}`;
  if (to === 'OPEN' || to === 'ISOLATED') logger.warn(line);
  else logger.log(line);
}
