import { PROBLEM_JSON, problemBody, type ProblemType } from '../common/problem.ts';
import type { Exchange } from '../http-cache/exchange.ts';
import {
  DETAILS,
  IdempotencyAnswerLostError,
  IdempotencyConflictError,
  IdempotencyMismatchError,
  IdempotencyRequestError,
  IdempotencyUnavailableError,
} from './idempotency.errors.ts';
import type { IdempotentOperation } from './idempotent.options.ts';

/** Why a request neither runs nor gets an answer that is there. */
export type Refusal =
  | { readonly kind: 'missing' }
  | { readonly kind: 'malformed'; readonly fault: string }
  | { readonly kind: 'incomparable' }
  | { readonly kind: 'running'; readonly remainingMs: number }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'answer-lost' }
  | { readonly kind: 'unavailable'; readonly cause: unknown };

/** A lease says how long a dead process is waited for, not how long a living one takes. */
const LONGEST_RETRY_MS = 5_000;

/** The refusal as the error to throw; its response says where all this is described. */
export function refusalOf(refusal: Refusal, exchange: Exchange, { docs }: IdempotentOperation): Error {
  const { response } = exchange;
  const links = response.getHeader('link');
  const link = `<${docs}>;rel="describedby"`;
  response.header('link', links === undefined ? link : [links, link].flat().join(', '));
  response.header('content-type', PROBLEM_JSON);
  return errorOf(refusal);
}

function errorOf(refusal: Refusal): Error {
  switch (refusal.kind) {
    case 'missing':
      return requestError('idempotency-key-missing', 'The request needs an Idempotency-Key');
    case 'malformed':
      return requestError('idempotency-key-malformed', `The Idempotency-Key cannot be used: ${refusal.fault}`);
    case 'incomparable':
      return requestError('idempotency-body', 'The body cannot be compared with that of another request');
    case 'running': {
      const retryAfterMs = Math.min(LONGEST_RETRY_MS, Math.max(1, refusal.remainingMs));
      const body = problem('idempotency-conflict', 409, 'KEEP_IDEMPOTENCY_CONFLICT', DETAILS.conflict);
      return new IdempotencyConflictError(retryAfterMs, body);
    }
    case 'mismatch':
      return new IdempotencyMismatchError(
        problem('idempotency-mismatch', 422, 'KEEP_IDEMPOTENCY_MISMATCH', DETAILS.mismatch),
      );
    case 'answer-lost':
      return new IdempotencyAnswerLostError(
        problem('idempotency-answer-lost', 409, 'KEEP_IDEMPOTENCY_ANSWER_LOST', DETAILS.answerLost),
      );
    case 'unavailable': {
      const body = problem('idempotency-unavailable', 503, 'KEEP_IDEMPOTENCY_UNAVAILABLE', DETAILS.unavailable);
      return new IdempotencyUnavailableError(refusal.cause, body);
    }
    default:
      return refusal satisfies never;
  }
}

const requestError = (type: ProblemType, detail: string): Error =>
  new IdempotencyRequestError(problem(type, 400, 'KEEP_IDEMPOTENCY_REQUEST', detail));

const problem = (type: ProblemType, status: number, code: string, detail: string): object =>
  problemBody({ type, status, detail, code }, {});
