import type { ArgumentsHost } from '@nestjs/common';
import { ExceptionsHandler } from '@nestjs/core/exceptions/exceptions-handler.js';
import { isCacheInfrastructureError } from './errors.ts';

/** What Express, Fastify and Node itself have between them: in front of a middleware the response is that of Node. */
interface HttpResponse {
  readonly headersSent?: boolean;
  readonly sent?: boolean;
  readonly getHeader: (name: string) => unknown;
  readonly header?: (name: string, value: string) => unknown;
  readonly setHeader?: (name: string, value: string) => unknown;
}

const TELLS_WHEN = Symbol.for('nestjs-keep:tells-when-to-retry');

/**
 * Tells HTTP clients when to come back, whatever of this package has refused their request and whichever filter answers.
 *
 * It stands where Nest hands an error to the filters of a route, once for the whole process. An interceptor would see
 * most of these errors, for a dozen microseconds of every request that nobody refuses.
 */
export function tellWhenToRetry(): void {
  const nest = ExceptionsHandler.prototype as ExceptionsHandler & { [TELLS_WHEN]?: true };
  if (nest[TELLS_WHEN] === true) return;
  nest[TELLS_WHEN] = true;
  const answer = Reflect.get(nest, 'next');
  nest.next = function (error: Error, host: ArgumentsHost) {
    tellWhen(error, host.getArgByIndex<HttpResponse>(1));
    answer.call(this, error, host);
  };
}

/** Sets `Retry-After`, unless somebody who knows better has. */
function tellWhen(error: unknown, response: HttpResponse): void {
  if (!isCacheInfrastructureError(error)) return;
  const { retryAfterMs } = error as { readonly retryAfterMs?: number };
  const isUnderWay = response.headersSent === true || response.sent === true;
  if (retryAfterMs === undefined || isUnderWay || response.getHeader('retry-after') !== undefined) return;
  const seconds = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  if (response.header !== undefined) response.header('retry-after', seconds);
  else response.setHeader?.('retry-after', seconds);
}
