import { HttpException } from '@nestjs/common';

/** What went wrong, in the words of RFC 9457. */
export interface ProblemBody {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  /** Stable, for programs. */
  readonly code: string;
  readonly detail: string;
  /** What is wrong with which field. */
  readonly errors?: readonly string[];
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

export const problemBody = (status: number, code: string, detail: string, errors?: readonly string[]): ProblemBody => ({
  type: 'about:blank',
  title: TITLES[status] ?? 'Error',
  status,
  code,
  detail,
  ...(errors && { errors }),
});

/** An answer that is no success; everything the admin API refuses is one. */
export class AdminProblem extends HttpException {
  constructor(
    status: number,
    code: string,
    detail: string,
    readonly extra: { readonly errors?: readonly string[]; readonly retryAfterSeconds?: number } = {},
  ) {
    super(problemBody(status, code, detail, extra.errors), status);
  }
}

export const notFound = (what: string): AdminProblem => new AdminProblem(404, 'NOT_FOUND', `There is no such ${what}`);

export const unprocessable = (errors: readonly string[]): AdminProblem =>
  new AdminProblem(422, 'INVALID_REQUEST', 'The request does not say what is needed', { errors });
