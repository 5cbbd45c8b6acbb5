import { Injectable, Logger, type OnModuleInit, RequestMethod } from '@nestjs/common';
import { GUARDS_METADATA, METHOD_METADATA, SSE_METADATA } from '@nestjs/common/constants.js';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { type CacheableOperation, cacheableOperationOf, templatesOf } from '../cache/cacheable.decorator.ts';
import { requestPlaceholdersOf } from '../cache/request-placeholders.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { isMessageHandler, isRoute } from '../common/route-metadata.ts';
import { type WrappedMethod, wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { ResponseCacheInterceptor } from './response-cache.interceptor.ts';
import { RoutePolicies } from './route-policies.ts';

const CACHED_METHODS: readonly unknown[] = [RequestMethod.GET, RequestMethod.HEAD, RequestMethod.ALL];
/** What is there before the handler runs, and does not come from a body. */
const READABLE = /^\{(?:params|query|user|ip)\b/;

/** Checks `@Cacheable` at start-up, when all decorators of a method have spoken and it is known to be a route or not. */
@Injectable()
export class ResponseCacheExplorer implements OnModuleInit {
  private readonly logger = new Logger('ResponseCache');

  constructor(
    private readonly modules: ModulesContainer,
    private readonly application: ApplicationConfig,
    private readonly policies: RoutePolicies,
    private readonly interceptor: ResponseCacheInterceptor,
  ) {}

  /** @throws InvalidOptionsError naming everything that cannot be cached as it is decorated */
  onModuleInit(): void {
    const faults: string[] = [];
    for (const found of wrappedMethodsOf(this.modules)) {
      const operation = cacheableOperationOf(found.method);
      if (operation === undefined) continue;
      const own = isRoute(found.method) ? this.route(found, operation) : methodFaults(found, operation);
      faults.push(...own.map((fault) => `${found.name}: ${fault}`));
      if (isMessageHandler(found.method)) {
        this.logger.warn(`${found.name} answers messages: what it returns is cached by its arguments, for everybody`);
      }
    }
    if (faults.length > 0) throw new InvalidOptionsError('Wrong @Cacheable', faults);
  }

  /** Whether any route is cached, or has decorators that read the request. */
  areNeeded(): boolean {
    return wrappedMethodsOf(this.modules).some(
      ({ method }) =>
        isRoute(method) && (cacheableOperationOf(method) !== undefined || requestPlaceholdersOf(method).length > 0),
    );
  }

  /** Routes that want the cache behind their interceptors get it there: before they are registered. */
  bindRoutes(): void {
    for (const { method } of wrappedMethodsOf(this.modules)) {
      if (!isRoute(method) || cacheableOperationOf(method)?.route.position !== 'bound') continue;
      this.interceptor.bindTo(method);
    }
  }

  private route({ name, method, prototype }: WrappedMethod, operation: CacheableOperation): string[] {
    this.interceptor.hasRoutes = true;
    const faults = routeFaults(method, operation);
    const policy = this.policies.make(prototype.constructor, method, faults);
    if (policy?.hasScope === false && this.isGuarded(prototype.constructor, method)) {
      this.logger.warn(`${name} has a guard and no scope: what it answers to known users is not cached`);
    }
    return faults;
  }

  private isGuarded(controller: object, method: object): boolean {
    const own = [controller, method].some((target) => Reflect.hasMetadata(GUARDS_METADATA, target));
    const { application } = this;
    return own || [...application.getGlobalGuards(), ...application.getGlobalRequestGuards()].length > 0;
  }
}

function routeFaults(route: object, operation: CacheableOperation): string[] {
  const faults: string[] = [];
  if (!CACHED_METHODS.includes(Reflect.getMetadata(METHOD_METADATA, route))) {
    faults.push('only GET can be cached; on other routes use @CacheEvict or @CachePut');
  }
  if (Reflect.hasMetadata(SSE_METADATA, route)) faults.push('an event stream cannot be cached');
  for (const placeholder of templatesOf(operation).flatMap((template) => template.from('argument', 'request'))) {
    if (!READABLE.test(placeholder)) {
      faults.push(`${placeholder}: a route is cached by {params.…}, {query.…}, {user.…} and {ip}`);
    }
  }
  return faults;
}

/** What returns such a value is no asynchronous method, and its callers would suddenly get a promise. */
const SYNCHRONOUS: readonly unknown[] = [String, Number, Boolean, Array, BigInt, Symbol, Date, Map, Set];

function methodFaults({ prototype, property }: WrappedMethod, { route }: CacheableOperation): string[] {
  const faults = Object.keys(route).map((option) => `${option}: only on routes`);
  const returned: unknown = Reflect.getMetadata('design:returntype', prototype, property);
  if (SYNCHRONOUS.includes(returned)) faults.push('it must return a promise');
  return faults;
}
