import { Global, Module, type DynamicModule, type NestModule, type Provider } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import { makeAdminControllers } from './admin/admin.routes.ts';
import { Strays } from './admin/http/strays.ts';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, type ASYNC_OPTIONS_TYPE } from './cache.module-definition.ts';
import type { CacheModuleOptions } from './cache.module-options.ts';
import { exported, providers } from './cache.providers.ts';
import { ADMIN_CONTROLLERS } from './cache.tokens.ts';
import { chained } from './common/chained.ts';
import { keepProblems } from './common/problem-reply.ts';
import { tellWhenToRetry } from './common/retry-after.ts';
import { hideSecrets } from './common/secrets.ts';
import { IdempotencyExplorer } from './idempotency/idempotency.explorer.ts';
import { IdempotencyInterceptor } from './idempotency/idempotency.interceptor.ts';
import { ResponseCacheExplorer } from './http-cache/response-cache.explorer.ts';
import { placeFirst, ResponseCacheInterceptor, yieldToCache } from './http-cache/response-cache.interceptor.ts';

/** Whoever injects the options, or logs the container, sees neither the URL nor a password. */
const withoutSecretsShown = <O>(options: O): O =>
  typeof options === 'object' && options !== null && !Array.isArray(options)
    ? hideSecrets({ ...options }, 'redis', 'admin')
    : options;

/** The options of `forRootAsync` are there when their factory has run. */
function hidingOptions(provider: Provider): Provider {
  if (typeof provider === 'function' || provider.provide !== MODULE_OPTIONS_TOKEN) return provider;
  if (!('useFactory' in provider)) return provider;
  const { useFactory } = provider as { readonly useFactory: (...args: readonly unknown[]) => unknown };
  return { ...provider, useFactory: async (...args: unknown[]) => withoutSecretsShown(await useFactory(...args)) };
}

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
    private readonly responseCache: ResponseCacheInterceptor,
    private readonly routes: ResponseCacheExplorer,
    private readonly idempotency: IdempotencyInterceptor,
    private readonly idempotentRoutes: IdempotencyExplorer,
    private readonly application: ApplicationConfig,
    private readonly host: HttpAdapterHost,
    private readonly strays: Strays,
  ) {
    super();
  }

  /** Without options the environment decides: the server it names, or memory. */
  static override forRoot(options: CacheModuleOptions = {}): DynamicModule {
    return withAdmin(super.forRoot(withoutSecretsShown(options)));
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    const module = super.forRootAsync(options);
    return withAdmin({ ...module, providers: module.providers?.map(hidingOptions) ?? [] });
  }

  /** Called before routes are registered. */
  configure(): void {
    this.strays.beforeRoutes();
    this.placeInterceptors();
    this.routes.bindRoutes();
    tellWhenToRetry();
    keepProblems(this.host.httpAdapter);
    yieldToCache(this.host.httpAdapter);
  }

  /** Only those that a route has asked for: Nest pays a dozen microseconds of each request for the first interceptor. */
  private placeInterceptors(): void {
    const isCaching = this.routes.areNeeded();
    const isIdempotent = this.idempotentRoutes.exist();
    // A retry of a request changes nothing: it is answered in front of the cache.
    if (isCaching && isIdempotent) placeFirst(chained(this.idempotency, this.responseCache), this.application);
    else if (isIdempotent) placeFirst(this.idempotency, this.application);
    else if (isCaching) placeFirst(this.responseCache, this.application);
  }
}

/** The routes of the admin API; whether and where they are served is known when the options are. */
function withAdmin(module: DynamicModule): DynamicModule {
  const controllers = makeAdminControllers();
  return {
    ...module,
    controllers: [...controllers.all],
    providers: [...(module.providers ?? []), { provide: ADMIN_CONTROLLERS, useValue: controllers }],
  };
}
