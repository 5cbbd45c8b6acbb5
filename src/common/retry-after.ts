import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { catchError, type Observable } from 'rxjs';
import { isCacheInfrastructureError } from './errors.ts';

/** What Express and Fastify have in common. */
interface HttpResponse {
  readonly getHeader: (name: string) => unknown;
  readonly header: (name: string, value: string) => unknown;
}

/** Tells HTTP clients when to come back, whatever of this package has refused their request behind the guards. */
@Injectable()
export class RetryAfterInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    return next.handle().pipe(
      catchError((error: unknown) => {
        tellWhen(error, context.switchToHttp().getResponse<HttpResponse>());
        throw error;
      }),
    );
  }
}

/** Sets `Retry-After`, unless somebody who knows better has. */
function tellWhen(error: unknown, response: HttpResponse): void {
  if (!isCacheInfrastructureError(error)) return;
  const { retryAfterMs } = error as { readonly retryAfterMs?: number };
  if (retryAfterMs === undefined || response.getHeader('retry-after') !== undefined) return;
  response.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1_000))));
}
