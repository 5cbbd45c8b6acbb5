import { GatewayTimeoutException, ServiceUnavailableException } from '@nestjs/common';
import { bodyOf, BRAND, predicateOf } from '../common/errors.ts';

/** Thrown (503) instead of calling an operation whose circuit is open, half-open or isolated. */
export class CircuitOpenError extends ServiceUnavailableException {
  readonly code = 'KEEP_CIRCUIT_OPEN';
  readonly [BRAND] = true;

  /** @param retryAfterMs when a call has a chance again */
  constructor(
    readonly circuit: string,
    readonly retryAfterMs: number,
  ) {
    super(bodyOf(503, 'KEEP_CIRCUIT_OPEN', `The circuit ${quoted(circuit)} is open: try again later`));
  }
}
export const isCircuitOpenError = predicateOf<CircuitOpenError>('KEEP_CIRCUIT_OPEN');

/** Thrown (503) instead of calling an operation while as many calls as its `capacity` are under way. */
export class CircuitFullError extends ServiceUnavailableException {
  readonly code = 'KEEP_CIRCUIT_FULL';
  readonly [BRAND] = true;
  /** Calls end all the time: soon is soon enough. */
  readonly retryAfterMs = 1_000;

  constructor(readonly circuit: string) {
    super(bodyOf(503, 'KEEP_CIRCUIT_FULL', `Too many calls through the circuit ${quoted(circuit)} are under way`));
  }
}
export const isCircuitFullError = predicateOf<CircuitFullError>('KEEP_CIRCUIT_FULL');

/** Thrown (504) when an operation took longer than the `timeout` of its circuit. It may go on nevertheless. */
export class CircuitTimeoutError extends GatewayTimeoutException {
  readonly code = 'KEEP_CIRCUIT_TIMEOUT';
  readonly [BRAND] = true;

  constructor(
    readonly circuit: string,
    readonly timeoutMs: number,
  ) {
    super(bodyOf(504, 'KEEP_CIRCUIT_TIMEOUT', `The circuit ${quoted(circuit)} timed out after ${timeoutMs} ms`));
  }
}
export const isCircuitTimeoutError = predicateOf<CircuitTimeoutError>('KEEP_CIRCUIT_TIMEOUT');

/** A name fit for a message or a log line: nothing a terminal would act on. */
export const quoted = (name: string): string => JSON.stringify(name.slice(0, 120));
