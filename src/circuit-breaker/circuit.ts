import type { HttpException } from '@nestjs/common';
import { begin } from '../common/begin.ts';
import { withDeadline } from '../common/deadline.ts';
import { COARSE_BOUNDS_MS, Histogram } from '../common/histogram.ts';
import { CircuitFullError, CircuitOpenError, CircuitTimeoutError } from './circuit-breaker.errors.ts';
import { CircuitMachine } from './circuit-machine.ts';
import { describeConfig, type ErrorFilter, type ResolvedCircuitConfig } from './circuit.config.ts';
import type { CircuitBreakerStats, CircuitChange, CircuitCounts } from './circuit.stats.ts';
import { LatencyHistogram } from './latency-histogram.ts';

/** When to ask again while trial calls are under way. */
const TRIAL_MS = 1_000;
const NOTHING: readonly unknown[] = [];
const NO_CALLS = { fires: 0, successes: 0, failures: 0, timeouts: 0, rejects: 0, fallbacks: 0 };

/** What a call brings besides its operation. */
export interface CallDetails {
  /** For those who listen to events. */
  readonly args?: readonly unknown[];
  readonly errorFilter?: ErrorFilter | undefined;
  /** Hears that the operation took too long, and may say so in its own words. */
  readonly late?: (error: CircuitTimeoutError) => Error;
  /** What the caller gets instead of an error; it does not change how the call is judged. */
  readonly failed?: (error: unknown) => Error;
}

/** A call that was let through. */
interface Admission {
  readonly era: number;
  readonly startedAt: number;
  readonly args: readonly unknown[];
}

/** What all handles of one name share: it lets calls through or refuses them, and counts what came of them. */
export class Circuit {
  readonly machine: CircuitMachine;
  /** Of all calls since the start. */
  readonly durations = new Histogram(COARSE_BOUNDS_MS);
  readonly #latency = new LatencyHistogram();
  #counts = { ...NO_CALLS };
  #underWay = 0;

  constructor(
    readonly config: ResolvedCircuitConfig,
    onChange: (change: CircuitChange) => void,
    private readonly onRefusal: () => void = () => undefined,
  ) {
    this.machine = new CircuitMachine(config, onChange);
  }

  get stats(): CircuitCounts {
    return { ...this.#counts, p50Ms: this.#latency.quantile(0.5), p99Ms: this.#latency.quantile(0.99) };
  }

  describe(): CircuitBreakerStats {
    const { state, nextTryAt, isBypassed } = this.machine;
    return {
      name: this.config.name,
      state,
      isBypassed,
      stats: this.stats,
      nextTryAt,
      config: describeConfig(this.config),
    };
  }

  /** @throws CircuitOpenError, CircuitFullError when the operation was not run; CircuitTimeoutError */
  run<R>(operation: () => Promise<R>, { args = NOTHING, errorFilter, late = same, failed = same }: CallDetails = {}) {
    // The application is ending, and with it the timers that would let calls through again.
    if (this.machine.isShutdown) return operation();
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject<R>(failed(refusal));
    const admission = this.#admit(args);
    // Callers without types may hand over what throws, or returns no promise.
    return withDeadline(begin(operation), this.config.timeoutMs, {
      late: () => late(this.#timedOut(admission)),
      done: (result) => this.#succeeded(admission, result),
      failed: (error) => {
        if (this.isNeutral(error, errorFilter)) this.#succeeded(admission, error);
        else this.#failed(admission, error);
        return failed(error);
      },
    });
  }

  /** Whether an error says nothing about the health of what was called. A filter that throws has not said so. */
  isNeutral(error: unknown, errorFilter = this.config.errorFilter): boolean {
    try {
      return isClientError(error) || errorFilter?.(error) === true;
    } catch (fault) {
      process.emitWarning(fault instanceof Error ? fault : String(fault));
      return false;
    }
  }

  /** Answers for a call that failed or was refused. What does not count is passed on. */
  fallBack<R>(error: unknown, answer: (error: Error) => R | Promise<R>, errorFilter?: ErrorFilter): R | Promise<R> {
    if (this.isNeutral(error, errorFilter)) throw error;
    const result = answer(error as Error);
    this.#counts.fallbacks += 1;
    this.machine.events.emit('fallback', result, error);
    return result;
  }

  /** Closes the circuit and forgets what happened so far. */
  reset(): void {
    this.machine.close();
    this.machine.forget();
    this.#latency.clear();
    this.#counts = { ...NO_CALLS };
  }

  #refusal(): Error | undefined {
    this.#counts.fires += 1;
    const { capacity, name } = this.config;
    if (this.#underWay >= capacity) return this.#refuse('semaphoreLocked', new CircuitFullError(name));
    if (!this.machine.admits()) return this.#refuse('reject', new CircuitOpenError(name, this.#retryAfterMs()));
    return undefined;
  }

  #refuse(event: 'reject' | 'semaphoreLocked', error: Error): Error {
    this.#counts.rejects += 1;
    this.machine.events.emit(event, error);
    this.onRefusal();
    return error;
  }

  #admit(args: readonly unknown[]): Admission {
    this.#underWay += 1;
    this.machine.events.emit('fire', args);
    return { args, startedAt: performance.now(), era: this.machine.era };
  }

  #retryAfterMs(): number {
    const { state, nextTryAt } = this.machine;
    if (state === 'HALF_OPEN') return TRIAL_MS;
    // Isolated: nobody knows for how long.
    if (nextTryAt === null) return this.config.resetTimeoutMs;
    return Math.max(1, nextTryAt - Date.now());
  }

  #timedOut(admission: Admission): CircuitTimeoutError {
    const error = new CircuitTimeoutError(this.config.name, this.config.timeoutMs ?? Infinity);
    this.#counts.timeouts += 1;
    this.machine.events.emit('timeout', error, performance.now() - admission.startedAt, admission.args);
    this.#failed(admission, error);
    return error;
  }

  #succeeded(admission: Admission, result: unknown): void {
    this.#counts.successes += 1;
    this.machine.succeeded(this.#end(admission), result);
  }

  #failed(admission: Admission, error: unknown): void {
    this.#counts.failures += 1;
    this.machine.failed(this.#end(admission), error);
  }

  #end({ era, args, startedAt }: Admission) {
    const now = performance.now();
    const tookMs = now - startedAt;
    this.#underWay -= 1;
    this.#latency.record(tookMs, now);
    this.durations.record(tookMs);
    return { era, args, tookMs };
  }
}

const same = (error: unknown): Error => error as Error;

/** Recognised by what it can do: the application may use another copy of Nest. */
function isClientError(error: unknown): boolean {
  const { getStatus } = (error ?? {}) as Partial<HttpException>;
  return typeof getStatus === 'function' && getStatus.call(error as HttpException) < 500;
}
