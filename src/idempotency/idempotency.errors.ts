import {
  BadRequestException,
  ConflictException,
  ServiceUnavailableException,
  UnprocessableEntityException,
} from '@nestjs/common';
import { bodyOf, BRAND, predicateOf } from '../common/errors.ts';

/** What clients are told: never the key, nor whose it is. */
export const DETAILS = {
  request: 'The idempotency key is missing or cannot be used',
  conflict: 'A request with this idempotency key is still being worked on: try again in a moment',
  mismatch: 'This idempotency key was used for another request: a new request needs a new key',
  answerLost: 'A request with this idempotency key was carried out, and its answer could not be kept',
  unavailable: 'Nobody can say at the moment whether a request with this idempotency key was carried out',
} as const;

/** Thrown (400) when a request has no idempotency key where one is required, or one that cannot be used. */
export class IdempotencyRequestError extends BadRequestException {
  readonly code = 'KEEP_IDEMPOTENCY_REQUEST';
  readonly [BRAND] = true;

  constructor(body: object = bodyOf(400, 'KEEP_IDEMPOTENCY_REQUEST', DETAILS.request)) {
    super(body);
  }
}
export const isIdempotencyRequestError = predicateOf<IdempotencyRequestError>('KEEP_IDEMPOTENCY_REQUEST');

/** Thrown (409) when an equal request still runs at the end of the wait. */
export class IdempotencyConflictError extends ConflictException {
  readonly code = 'KEEP_IDEMPOTENCY_CONFLICT';
  readonly [BRAND] = true;

  /** @param retryAfterMs when it is worth asking again */
  constructor(
    readonly retryAfterMs: number,
    body: object = bodyOf(409, 'KEEP_IDEMPOTENCY_CONFLICT', DETAILS.conflict),
  ) {
    super(body);
  }
}
export const isIdempotencyConflictError = predicateOf<IdempotencyConflictError>('KEEP_IDEMPOTENCY_CONFLICT');

/** Thrown (422) when the key has been used for a request that said something else. */
export class IdempotencyMismatchError extends UnprocessableEntityException {
  readonly code = 'KEEP_IDEMPOTENCY_MISMATCH';
  readonly [BRAND] = true;

  constructor(body: object = bodyOf(422, 'KEEP_IDEMPOTENCY_MISMATCH', DETAILS.mismatch)) {
    super(body);
  }
}
export const isIdempotencyMismatchError = predicateOf<IdempotencyMismatchError>('KEEP_IDEMPOTENCY_MISMATCH');

/** Thrown (409) when an equal request has run and its answer could not be kept: too long, or cut off. */
export class IdempotencyAnswerLostError extends ConflictException {
  readonly code = 'KEEP_IDEMPOTENCY_ANSWER_LOST';
  readonly [BRAND] = true;

  constructor(body: object = bodyOf(409, 'KEEP_IDEMPOTENCY_ANSWER_LOST', DETAILS.answerLost)) {
    super(body);
  }
}
export const isIdempotencyAnswerLostError = predicateOf<IdempotencyAnswerLostError>('KEEP_IDEMPOTENCY_ANSWER_LOST');

/** Thrown (503) when nobody can say whether an equal request has run, because the server does not answer. */
export class IdempotencyUnavailableError extends ServiceUnavailableException {
  readonly code = 'KEEP_IDEMPOTENCY_UNAVAILABLE';
  readonly [BRAND] = true;
  /** When it is worth asking again: about as long as the breaker in front of the server stays open. */
  readonly retryAfterMs = 1_000;

  constructor(cause?: unknown, body: object = bodyOf(503, 'KEEP_IDEMPOTENCY_UNAVAILABLE', DETAILS.unavailable)) {
    super(body, { cause });
  }
}
export const isIdempotencyUnavailableError = predicateOf<IdempotencyUnavailableError>('KEEP_IDEMPOTENCY_UNAVAILABLE');
