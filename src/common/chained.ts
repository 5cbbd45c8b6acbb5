import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { defer, type Observable } from 'rxjs';

/** An interceptor that answers at once. */
interface Link extends NestInterceptor {
  intercept: (context: ExecutionContext, next: CallHandler) => Observable<unknown>;
}

/**
 * Two interceptors as one, the first of them in front: what Nest does around each interceptor costs every request of an
 * application more than most of them do. Only the second may run what comes next in an asynchronous context of its own.
 */
export const chained = (first: Link, second: Link): Link => ({
  // What the second throws is for the first to see, as if it had come later.
  intercept: (context, next) =>
    first.intercept(context, { handle: () => defer(() => second.intercept(context, next)) }),
});
