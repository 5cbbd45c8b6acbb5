import { ConflictException, InternalServerErrorException, ServiceUnavailableException } from '@nestjs/common';
import { bodyOf, BRAND, predicateOf } from '../common/errors.ts';

/** What clients are told: never which resource it is about. */
export const LOCK_CONFLICT = 'Somebody else is working on this: try again in a moment';
export const LOCKS_UNAVAILABLE = 'Locks are not available at the moment';

/** What a handler answers with instead of the plain error. */
export interface LockProblem {
  readonly status?: number;
  readonly body: object;
}

/** Thrown (409) when somebody else still held the lock at the end of the wait. */
export class LockConflictError extends ConflictException {
  readonly code = 'KEEP_LOCK_CONFLICT';
  readonly [BRAND] = true;
  readonly #status: number | undefined;

  /** @param retryAfterMs how long the holder's lease lasts unless it is extended or released */
  constructor(
    readonly resource: string,
    readonly retryAfterMs: number,
    problem?: LockProblem,
  ) {
    super(problem?.body ?? bodyOf(409, 'KEEP_LOCK_CONFLICT', LOCK_CONFLICT));
    this.#status = problem?.status;
  }

  /** 409, unless `@WithLock` asks for another one. */
  override getStatus(): number {
    return this.#status ?? super.getStatus();
  }
}
export const isLockConflictError = predicateOf<LockConflictError>('KEEP_LOCK_CONFLICT');

/** Thrown (503) when nobody can say whether the lock is free, because the server does not answer. */
export class LockUnavailableError extends ServiceUnavailableException {
  readonly code = 'KEEP_LOCK_UNAVAILABLE';
  readonly [BRAND] = true;
  /** When it is worth asking again: about as long as the breaker in front of the server stays open. */
  readonly retryAfterMs = 1_000;

  constructor(
    readonly resource: string,
    cause?: unknown,
    problem?: LockProblem,
  ) {
    super(problem?.body ?? bodyOf(503, 'KEEP_LOCK_UNAVAILABLE', LOCKS_UNAVAILABLE), { cause });
  }
}
export const isLockUnavailableError = predicateOf<LockUnavailableError>('KEEP_LOCK_UNAVAILABLE');

/** Thrown (503) when the lease ended, or was taken away, before the protected work did. */
export class LockLostError extends ServiceUnavailableException {
  readonly code = 'KEEP_LOCK_LOST';
  readonly [BRAND] = true;

  /** @param cause what the protected work itself failed with, if it did */
  constructor(
    readonly resource: string,
    cause?: unknown,
  ) {
    super(bodyOf(503, 'KEEP_LOCK_LOST', 'The lock was lost before the work was done'), { cause });
  }
}
export const isLockLostError = predicateOf<LockLostError>('KEEP_LOCK_LOST');

/** Thrown (500) when work that holds a lock asks for the same lock again: it would wait for itself. */
export class LockReentranceError extends InternalServerErrorException {
  readonly code = 'KEEP_LOCK_REENTRANCE';
  readonly [BRAND] = true;

  constructor(readonly resource: string) {
    const hint = 'pass the lock on instead, currentLock() finds it';
    super(bodyOf(500, 'KEEP_LOCK_REENTRANCE', `"${resource}" is locked by the same work already: ${hint}`));
  }
}
export const isLockReentranceError = predicateOf<LockReentranceError>('KEEP_LOCK_REENTRANCE');
