import type { ExecutionContext } from '@nestjs/common';
import { PROBLEM_JSON, problemBody } from '../common/problem.ts';
import { transportException } from '../common/transport-exception.ts';
import type { LockOperation } from './lock-operation.ts';
import {
  isLockConflictError,
  isLockUnavailableError,
  LOCK_CONFLICT,
  LockConflictError,
  LOCKS_UNAVAILABLE,
  LockUnavailableError,
} from './lock.errors.ts';

const LONGEST_RETRY_S = 30;

/** What Express and Fastify have in common. */
interface HttpResponse {
  readonly header: (name: string, value: string) => unknown;
}

/** The refusal of a lock as the body and the status that `@WithLock` says. Any other error stays what it is. */
export function plainProblem(error: unknown, { key, conflictStatus: status }: LockOperation): unknown {
  const lock = { lock: key.publicName };
  if (isLockConflictError(error)) {
    const body = problemBody({ type: 'lock-conflict', status, detail: LOCK_CONFLICT, code: error.code }, lock);
    return new LockConflictError(error.resource, error.retryAfterMs, { status, body });
  }
  if (isLockUnavailableError(error)) {
    const { code } = error;
    const body = problemBody({ type: 'lock-unavailable', status: 503, detail: LOCKS_UNAVAILABLE, code }, lock);
    return new LockUnavailableError(error.resource, error.cause, { body });
  }
  return error;
}

/** The refusal of a lock as callers of the transport understand it. */
export async function problemFor(
  error: unknown,
  operation: LockOperation,
  context: ExecutionContext,
): Promise<unknown> {
  const problem = plainProblem(error, operation);
  const isHttp = context.getType() === 'http';
  if (isHttp && problem !== error) describe(problem, context.switchToHttp().getResponse<HttpResponse>());
  return transportException(problem, context.getType());
}

function describe(problem: unknown, response: HttpResponse): void {
  const { retryAfterMs = 0 } = problem as { readonly retryAfterMs?: number };
  const seconds = Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  response.header('content-type', PROBLEM_JSON);
  response.header('retry-after', String(seconds));
}
