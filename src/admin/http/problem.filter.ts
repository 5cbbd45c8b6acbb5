import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Inject, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { errorKind } from '../../common/error-kind.ts';
import { isCacheInfrastructureError } from '../../common/errors.ts';
import { AdminProblem, problemBody, type ProblemBody } from '../admin.problem.ts';
import { harden } from './hardening.ts';

/** Answers whatever goes wrong in the admin API as problem+json with a stable code; it tells nothing of the inside. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  catch(error: unknown, host: ArgumentsHost): void {
    answerProblem(this.host, host.switchToHttp().getResponse(), error);
  }
}

export function answerProblem(host: HttpAdapterHost, response: unknown, error: unknown): void {
  const { httpAdapter } = host;
  if (httpAdapter.isHeadersSent(response)) return;
  const body = bodyOf(error);
  harden(host, response);
  httpAdapter.setHeader(response, 'Content-Type', 'application/problem+json; charset=utf-8');
  if (body.status === 401) httpAdapter.setHeader(response, 'WWW-Authenticate', 'Bearer');
  const retryAfter = error instanceof AdminProblem ? error.extra.retryAfterSeconds : undefined;
  if (retryAfter !== undefined) httpAdapter.setHeader(response, 'Retry-After', String(retryAfter));
  httpAdapter.reply(response, body, body.status);
}

const CODES: Readonly<Record<number, string>> = { 400: 'BAD_REQUEST', 401: 'UNAUTHENTICATED', 403: 'FORBIDDEN' };

function bodyOf(error: unknown): ProblemBody {
  if (error instanceof AdminProblem) return error.getResponse() as ProblemBody;
  if (isCacheInfrastructureError(error)) return infrastructureBody(error);
  if (error instanceof HttpException) {
    const status = error.getStatus();
    return problemBody(status, CODES[status] ?? 'REFUSED', error.message.slice(0, 300));
  }
  const refusal = refusalOfPlatform(error);
  if (refusal !== undefined) return refusal;
  new Logger('CacheAdmin').error(`A request failed: ${errorKind(error)}`);
  return problemBody(500, 'INTERNAL', 'This should not have happened');
}

/** What the client has written is its fault; that the server is away is nobody's. */
function infrastructureBody(error: Error & { readonly code: string }): ProblemBody {
  if (error instanceof HttpException) return problemBody(error.getStatus(), error.code, error.message.slice(0, 300));
  return problemBody(422, error.code, error.message.slice(0, 300));
}

/** What Express and Fastify say of a request that they cannot read; their texts may hold what was sent. */
function refusalOfPlatform(error: unknown): ProblemBody | undefined {
  const { statusCode: status } = (error ?? {}) as { readonly statusCode?: unknown };
  switch (status) {
    case 400:
      return problemBody(400, 'BAD_REQUEST', 'The address or the body cannot be read: bodies are JSON');
    case 413:
      return problemBody(413, 'BODY_TOO_LARGE', 'The body is larger than this application reads');
    case 415:
      return problemBody(415, 'JSON_ONLY', 'Send the body as application/json');
    default:
      return undefined;
  }
}
