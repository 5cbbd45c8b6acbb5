import { Global, Module, type DynamicModule, type NestModule } from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { ConfigurableModuleClass, type ASYNC_OPTIONS_TYPE } from './cache.module-definition.ts';
import type { CacheModuleOptions } from './cache.module-options.ts';
import { exported, providers } from './cache.providers.ts';
import { RetryAfterInterceptor } from './common/retry-after.interceptor.ts';
import { placeFirst, RouteCacheInterceptor } from './http-cache/route-cache.interceptor.ts';

/**
 * Imported once, in the root module: every other module injects `CacheService` and the other services as they are.
 * Wrong options stop the start with one error that names all of them.
 *
 * @publicApi
 */
@Global()
@Module({ providers, exports: exported })
export class CacheModule extends ConfigurableModuleClass implements NestModule {
  constructor(
    private readonly retryAfter: RetryAfterInterceptor,
    private readonly routeCache: RouteCacheInterceptor,
    private readonly application: ApplicationConfig,
  ) {
    super();
  }

  /** Without options the environment decides: the server it names, or memory. */
  static override forRoot(options: CacheModuleOptions = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }

  /** Called before routes are registered. */
  configure(): void {
    placeFirst(this.routeCache, this.application);
    // In front of it: what a client is told about a refusal is no part of what is cached.
    this.application.getGlobalInterceptors().unshift(this.retryAfter);
  }
}
