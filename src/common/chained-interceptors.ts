import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { defer, type Observable } from 'rxjs';

/** An interceptor that answers at once. */
interface Link extends NestInterceptor {
  intercept: (context: ExecutionContext, next: CallHandler) => Observable<unknown>;
}

/**
 * Several interceptors as one, the first of them outermost: what Nest does around each interceptor costs every request
 * of an application more than most of them do.
 */
export const chainedInterceptors = (links: readonly Link[]): Link => ({
  intercept: (context, next) => chained(links, context, next),
});

function chained(
  [first, ...others]: readonly Link[],
  context: ExecutionContext,
  next: CallHandler,
): Observable<unknown> {
  if (first === undefined) return next.handle();
  // What an inner one throws is for the outer ones to see, as if it had come later.
  return first.intercept(context, { handle: () => defer(() => chained(others, context, next)) });
}
