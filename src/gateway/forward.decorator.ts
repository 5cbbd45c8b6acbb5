import { type ExecutionContext, SetMetadata, UseInterceptors } from '@nestjs/common';
import { ForwardInterceptor } from './forward.interceptor.ts';
import { FORWARD, type ForwardTarget } from './forward.metadata.ts';
import type { ForwardOptions } from './gateway.service.ts';

/**
 * Forwards the requests of a route to an upstream instead of handling them: what its wildcard stands for is the path,
 * so `/gateway/orders/123?x=1` on `@All('gateway/orders/*path')` becomes `/123?x=1`. Bodies of any type are streamed.
 *
 * @param upstream its name in the options, or a function that finds it; where there is none of that name, 404
 * @publicApi
 */
export function Forward(
  upstream: string | ((context: ExecutionContext) => string),
  options: ForwardOptions = {},
): MethodDecorator {
  const target: ForwardTarget = { upstream, options };
  return (prototype, property, descriptor) => {
    SetMetadata(FORWARD, target)(prototype, property, descriptor);
    UseInterceptors(ForwardInterceptor)(prototype, property, descriptor);
  };
}
