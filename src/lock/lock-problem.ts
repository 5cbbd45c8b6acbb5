import { STATUS_CODES } from 'node:http';
import { type ExecutionContext, HttpException } from '@nestjs/common';
import { BRAND, isCacheInfrastructureError } from '../common/errors.ts';
import type { LockOperation } from './lock-operation.ts';
import {
  isLockConflictError,
  isLockUnavailableError,
  LOCK_CONFLICT,
  LockConflictError,
  LOCKS_UNAVAILABLE,
  LockUnavailableError,
} from './lock.errors.ts';

const PROBLEM_JSON = 'application/problem+json; charset=utf-8';
const TYPES = 'https://www.npmjs.com/package/nestjs-keep/problems/';
const LONGEST_RETRY_S = 30;

/** What Express and Fastify have in common. */
interface HttpResponse {
  readonly header: (name: string, value: string) => unknown;
}

/** The refusal of a lock as the body and the status that `@WithLock` says. Any other error stays what it is. */
export function plainProblem(error: unknown, { key, conflictStatus: status }: LockOperation): unknown {
  const lock = key.publicName;
  if (isLockConflictError(error)) {
    const body = bodyOf({ name: 'lock-conflict', status, detail: LOCK_CONFLICT, code: error.code, lock });
    return new LockConflictError(error.resource, error.retryAfterMs, { status, body });
  }
  if (isLockUnavailableError(error)) {
    const detail = LOCKS_UNAVAILABLE;
    const body = bodyOf({ name: 'lock-unavailable', status: 503, detail, code: error.code, lock });
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
  switch (context.getType<string>()) {
    case 'http':
      if (problem !== error) describe(problem, context.switchToHttp().getResponse<HttpResponse>());
      return problem;
    case 'rpc':
      return asException(problem, async () => (await import('@nestjs/microservices')).RpcException);
    case 'ws':
      return asException(problem, async () => (await import('@nestjs/websockets')).WsException);
    default:
      return problem;
  }
}

interface ProblemFacts {
  readonly name: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly lock: string;
}

/** RFC 9457, and what clients of Nest look for. */
const bodyOf = ({ name, status, detail, code, lock }: ProblemFacts): object => ({
  ...{ type: TYPES + name, title: STATUS_CODES[status], status, detail },
  ...{ lock, code, statusCode: status, message: detail },
});

function describe(problem: unknown, response: HttpResponse): void {
  const { retryAfterMs = 0 } = problem as { readonly retryAfterMs?: number };
  const seconds = Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  response.header('content-type', PROBLEM_JSON);
  response.header('retry-after', String(seconds));
}

type TransportException = new (error: object) => Error;

/**
 * The filters of these transports tell callers only what comes in an exception of their own. It keeps our code, so that
 * `isLockConflictError` knows it.
 */
async function asException(problem: unknown, load: () => Promise<TransportException>): Promise<unknown> {
  if (!(problem instanceof HttpException)) return problem;
  const Exception = await load().catch(() => undefined);
  if (Exception === undefined) return problem;
  const { message } = problem;
  const { code, retryAfterMs } = problem as { readonly code?: string; readonly retryAfterMs?: number };
  const facts = { ...(code !== undefined && { code }), ...(retryAfterMs !== undefined && { retryAfterMs }) };
  const exception = new Exception({ status: 'error', statusCode: problem.getStatus(), message, ...facts });
  return Object.assign(exception, facts, isCacheInfrastructureError(problem) && { [BRAND]: true });
}
