import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { from, type Observable } from 'rxjs';
import { forwardTargetOf } from './forward.metadata.ts';
import { GatewayService } from './gateway.service.ts';

/** Does on routes what `@Forward` says; the handler itself does not run. */
@Injectable()
export class ForwardInterceptor implements NestInterceptor {
  constructor(private readonly gateway: GatewayService) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const target = forwardTargetOf(context.getHandler());
    if (target === undefined) return next.handle();
    const { upstream, options } = target;
    const name = typeof upstream === 'function' ? upstream(context) : upstream;
    return from(this.gateway.forward(context, name, options));
  }
}
