import { GatewayTimeoutException, InternalServerErrorException, ServiceUnavailableException } from '@nestjs/common';

/** Marks our errors, so that two installed copies of the package still recognise each other's. */
export const BRAND = Symbol.for('nestjs-keep:error');

/**
 * What every error of this package is: an `Error` with a stable `code` (`KEEP_…`).
 *
 * `instanceof` compares a brand, not the class, because errors that reach HTTP extend the Nest exception of
 * their status, and because an application may hold two copies of this package.
 *
 * @publicApi
 */
export abstract class CacheInfrastructureError extends Error {
  abstract readonly code: string;
  readonly [BRAND] = true;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== CacheInfrastructureError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return isCacheInfrastructureError(value);
  }
}

/** Whether `error` came from this package, whichever installed copy threw it. */
export function isCacheInfrastructureError(error: unknown): error is Error & { readonly code: string } {
  return typeof error === 'object' && error !== null && BRAND in error;
}

/** Builds the predicate of one error class; it compares the code, so it works across copies of the package. */
export function predicateOf<E extends Error & { readonly code: string }>(code: E['code']) {
  return (error: unknown): error is E => isCacheInfrastructureError(error) && error.code === code;
}

/** The body an HTTP-facing error answers with: what Nest clients expect, and the code. */
export const bodyOf = (statusCode: number, code: string, message: string) => ({ statusCode, code, message });

/** Thrown before any I/O when a key is not a non-blank string. */
export class InvalidKeyError extends CacheInfrastructureError {
  readonly code = 'KEEP_INVALID_KEY';
}
export const isInvalidKeyError = predicateOf<InvalidKeyError>('KEEP_INVALID_KEY');

/** Thrown before any I/O when a TTL is negative, not finite, out of range or not a duration. */
export class InvalidTtlError extends CacheInfrastructureError {
  readonly code = 'KEEP_INVALID_TTL';
}
export const isInvalidTtlError = predicateOf<InvalidTtlError>('KEEP_INVALID_TTL');

/** Thrown at start-up or before any I/O; `faults` names every wrong option, its range and what was received. */
export class InvalidOptionsError extends CacheInfrastructureError {
  readonly code = 'KEEP_INVALID_OPTIONS';
  readonly faults: readonly string[];

  constructor(subject: string, faults: readonly string[]) {
    super(`${subject}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}
export const isInvalidOptionsError = predicateOf<InvalidOptionsError>('KEEP_INVALID_OPTIONS');

/** Thrown when a value holds what cannot be stored: a function, a symbol, a cycle, too deep a nesting. */
export class SerializationError extends CacheInfrastructureError {
  readonly code = 'KEEP_INVALID_VALUE';
}
export const isSerializationError = predicateOf<SerializationError>('KEEP_INVALID_VALUE');

/** Thrown when the key holds another kind of data than the operation works on. */
export class WrongTypeError extends CacheInfrastructureError {
  readonly code = 'KEEP_WRONG_TYPE';
}
export const isWrongTypeError = predicateOf<WrongTypeError>('KEEP_WRONG_TYPE');

/** Thrown (503) when the server could not be asked: the command was **not** executed. */
export class StoreUnavailableError extends ServiceUnavailableException {
  readonly code = 'KEEP_STORE_UNAVAILABLE';
  readonly [BRAND] = true;

  /** @param answer first word of what the server answered instead, such as `OOM`; undefined when it was not asked */
  constructor(
    readonly operation: string,
    reason: string,
    readonly answer?: string,
  ) {
    super(bodyOf(503, 'KEEP_STORE_UNAVAILABLE', `${operation} was not executed: ${reason}`));
  }
}
export const isStoreUnavailableError = predicateOf<StoreUnavailableError>('KEEP_STORE_UNAVAILABLE');

/** Thrown (503) when a command was sent and no answer came in time: it may have been executed, now or later. */
export class OutcomeUnknownError extends ServiceUnavailableException {
  readonly code = 'KEEP_OUTCOME_UNKNOWN';
  readonly [BRAND] = true;

  constructor(
    readonly operation: string,
    reason: string,
  ) {
    super(bodyOf(503, 'KEEP_OUTCOME_UNKNOWN', `${operation} may have been executed: ${reason}`));
  }
}
export const isOutcomeUnknownError = predicateOf<OutcomeUnknownError>('KEEP_OUTCOME_UNKNOWN');

/** Whether the server did not answer, so that the caller has to decide what to do without it. */
export const isStoreFailure = (error: unknown): error is StoreUnavailableError | OutcomeUnknownError =>
  isStoreUnavailableError(error) || isOutcomeUnknownError(error);

/** Thrown (504) when a factory outlasts its hard timeout. */
export class FactoryTimeoutError extends GatewayTimeoutException {
  readonly code = 'KEEP_FACTORY_TIMEOUT';
  readonly [BRAND] = true;

  constructor(
    readonly key: string,
    readonly timeoutMs: number,
  ) {
    super(bodyOf(504, 'KEEP_FACTORY_TIMEOUT', `The factory took longer than its hard timeout of ${timeoutMs} ms`));
  }
}
export const isFactoryTimeoutError = predicateOf<FactoryTimeoutError>('KEEP_FACTORY_TIMEOUT');

/** Thrown (500) when a factory asks for the value that it is itself computing, which would otherwise never end. */
export class ReentrantLoadError extends InternalServerErrorException {
  readonly code = 'KEEP_REENTRANT_LOAD';
  readonly [BRAND] = true;

  constructor(readonly key: string) {
    super(
      bodyOf(
        500,
        'KEEP_REENTRANT_LOAD',
        `The factory of "${key}" waits for "${key}" itself: give the inner value another key`,
      ),
    );
  }
}
export const isReentrantLoadError = predicateOf<ReentrantLoadError>('KEEP_REENTRANT_LOAD');
