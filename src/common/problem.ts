import { STATUS_CODES } from 'node:http';

/** RFC 9457. */
export const PROBLEM_JSON = 'application/problem+json; charset=utf-8';

/** The page of the package: what its own types of problems are about stands in docs/errors.md. */
const TYPES = 'https://www.npmjs.com/package/nestjs-keep#';

/** Our own types of problems; others are registered by IANA. */
export type ProblemType =
  | 'gateway'
  | 'lock-conflict'
  | 'lock-unavailable'
  | 'idempotency-key-missing'
  | 'idempotency-key-malformed'
  | 'idempotency-body'
  | 'idempotency-conflict'
  | 'idempotency-mismatch'
  | 'idempotency-answer-lost'
  | 'idempotency-unavailable';

export interface Problem {
  readonly type: ProblemType;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
}

/** A problem as RFC 9457 has it, and what clients of Nest look for. */
export const problemBody = ({ type, status, detail, code }: Problem, extensions: object): object => ({
  ...{ type: TYPES + type, title: STATUS_CODES[status], status, detail },
  ...extensions,
  ...{ code, statusCode: status, message: detail },
});
