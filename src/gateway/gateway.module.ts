import { Global, Module, type NestModule, type Provider } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { HTTP_CACHE_PARTS, type HttpCacheParts } from '../http-cache/response-cache.parts.ts';
import { ForwardExplorer } from './forward.explorer.ts';
import { ForwardInterceptor } from './forward.interceptor.ts';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './gateway.module-definition.ts';
import { type GatewayOptions, resolveGatewayOptions } from './gateway.options.ts';
import { openGateway } from './gateway.parts.ts';
import { GatewayService } from './gateway.service.ts';
import { leaveBodiesAlone, markForwarded, takeNamedWildcards } from './untouched-bodies.ts';
import { loadUndici } from './upstream-client.ts';

const gateway: Provider = {
  provide: GatewayService,
  inject: [
    MODULE_OPTIONS_TOKEN,
    { token: HTTP_CACHE_PARTS, optional: true },
    { token: CircuitBreakerService, optional: true },
  ],
  useFactory: async (
    options: GatewayOptions,
    parts: HttpCacheParts | undefined,
    circuits: CircuitBreakerService | undefined,
  ) => {
    if (parts === undefined || circuits === undefined) {
      throw new InvalidOptionsError('GatewayModule cannot start', ['import CacheModule.forRoot() in the root module']);
    }
    return openGateway({ options: resolveGatewayOptions(options), parts, circuits, undici: await loadUndici() });
  },
};

/**
 * Imported once, in the root module, beside `CacheModule`: every controller may have routes with `@Forward` then. Wrong
 * options stop the start with one error that names all of them.
 *
 * @publicApi
 */
@Global()
@Module({ providers: [gateway, ForwardInterceptor, ForwardExplorer], exports: [GatewayService, ForwardInterceptor] })
export class GatewayModule extends ConfigurableModuleClass implements NestModule {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly routes: ForwardExplorer,
  ) {
    super();
  }

  /** Called before routes are registered. */
  configure(): void {
    // Without HTTP there is no adapter, whatever the type says.
    const adapter = this.host.httpAdapter as typeof this.host.httpAdapter | undefined;
    for (const [, method] of this.routes.forwarded()) markForwarded(method);
    takeNamedWildcards(adapter);
    leaveBodiesAlone(adapter);
  }
}
