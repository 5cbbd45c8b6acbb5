import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { type Observable, tap } from 'rxjs';

/** Says in `X-Response-Time` how long the handler took: about 50 ms with a query, about none from the cache. */
@Injectable()
export class ResponseTimeInterceptor implements NestInterceptor {
  constructor(private readonly host: HttpAdapterHost) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const startedAt = performance.now();
    const response: unknown = context.switchToHttp().getResponse();
    return next.handle().pipe(
      tap(() => {
        const tookMs = (performance.now() - startedAt).toFixed(1);
        this.host.httpAdapter.setHeader(response, 'X-Response-Time', `${tookMs}ms`);
      }),
    );
  }
}
