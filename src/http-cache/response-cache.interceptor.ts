import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { INTERCEPTORS_METADATA, SSE_METADATA } from '@nestjs/common/constants.js';
import type { AbstractHttpAdapter, ApplicationConfig } from '@nestjs/core';
import { from, type Observable } from 'rxjs';
import { currentRequest } from '../cache/current-request.ts';
import { Exchange, type HttpRequest, isAnswered } from './exchange.ts';
import { invalidatedPaths, isUnsafe } from './invalidation.ts';
import type { ResponseCache } from './response-cache.ts';
import { AS_IT_IS, type RecordedResponse, ResponseRecorder } from './response-recorder.ts';
import type { RoutePolicies } from './route-policies.ts';

/** On controllers that serve nothing of the application's own: what is sent to them leaves its responses as they are. */
export const BESIDE_THE_APPLICATION = Symbol.for('nestjs-keep:beside-the-application');

export interface ResponseCacheInterceptorOptions {
  readonly cache: ResponseCache;
  readonly policies: RoutePolicies;
  /** Whether anything is cached. */
  readonly isEnabled: boolean;
  readonly invalidate: ((paths: readonly string[]) => Promise<void>) | undefined;
}

/**
 * Does on routes what `@Cacheable` says. It has to be the first interceptor, see `placeFirst`: then it stands behind
 * all guards and in front of everything that makes a response.
 */
@Injectable()
export class ResponseCacheInterceptor implements NestInterceptor {
  /** Whether the application has a cached route at all: else nothing an unsafe request does matters here. */
  hasRoutes = false;

  constructor(private readonly options: ResponseCacheInterceptorOptions) {}

  /** Makes it the last interceptor of a route; called before routes are registered. */
  bindTo(handler: object): void {
    const own = (Reflect.getMetadata(INTERCEPTORS_METADATA, handler) ?? []) as readonly unknown[];
    // That of another application with the same controller has its place there already.
    const others = own.filter((interceptor) => !(interceptor instanceof BoundInterceptor));
    Reflect.defineMetadata(INTERCEPTORS_METADATA, [...others, new BoundInterceptor(this.options)], handler);
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    const handler = context.getHandler();
    const request = context.switchToHttp().getRequest<HttpRequest>();
    const { isEnabled, cache, policies, invalidate } = this.options;
    const { policy, needsRequest } = policies.of(context.getClass(), handler);
    const own = needsRequest ? { handle: () => handleWith(request, next) } : next;
    const { method } = request;
    if (method === 'GET' || method === 'HEAD') {
      const isCached = isEnabled && policy?.position === 'first';
      return isCached ? cache.answer(new Exchange(context, own, policy.counts), policy) : own.handle();
    }
    if (invalidate === undefined || !this.hasRoutes || !isUnsafe(method)) return own.handle();
    if (Reflect.hasMetadata(SSE_METADATA, handler)) return own.handle();
    if (Reflect.hasMetadata(BESIDE_THE_APPLICATION, context.getClass())) return own.handle();
    return from(runAndInvalidate(new Exchange(context, own), invalidate));
  }
}

/** Stands behind the interceptors of a route, for those routes that want it there. */
class BoundInterceptor implements NestInterceptor {
  constructor(private readonly options: ResponseCacheInterceptorOptions) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { isEnabled, cache, policies } = this.options;
    const { policy } = policies.of(context.getClass(), context.getHandler());
    const { method } = context.switchToHttp().getRequest<HttpRequest>();
    const isCached = isEnabled && policy !== undefined && (method === 'GET' || method === 'HEAD');
    return isCached ? cache.answer(new Exchange(context, next, policy.counts), policy) : next.handle();
  }
}

/**
 * The client hears of the change when nobody can get what was before it any more. What counts is the response on the
 * wire: redirects are not there yet when the handler returns, nor is anything where it answers by itself.
 */
function runAndInvalidate(
  exchange: Exchange,
  invalidate: (paths: readonly string[]) => Promise<void>,
): Promise<unknown> {
  const { request, raw, url } = exchange;
  const end = async ({ status, headers }: RecordedResponse): Promise<void> => {
    const paths = invalidatedPaths({ url, host: request.hostname ?? '', status, headers });
    if (paths.length > 0) await invalidate(paths);
  };
  const recorder = new ResponseRecorder(raw, { maxBytes: 0, onHead: () => AS_IT_IS, beforeEnd: end });
  // A client that goes away early has changed what it has changed.
  recorder.finished.then((recorded) => (recorded.isWhole ? undefined : end(recorded))).catch(() => undefined);
  const running = exchange.run();
  recorder.accompany(running);
  return running;
}

/** Runs the handler with the request in reach of the decorators around its method. */
const handleWith = (request: HttpRequest, next: CallHandler): Observable<unknown> =>
  currentRequest.run(request, () => next.handle());

/** Puts an interceptor before every other; called before routes are registered, in a module's `configure()`. */
export function placeFirst(interceptor: NestInterceptor, config: ApplicationConfig): void {
  config.getGlobalInterceptors().unshift(interceptor);
}

type Answer = (response: object, ...rest: unknown[]) => unknown;

/** Keeps Nest from answering a request once more that the cache has answered. */
export function yieldToCache(adapter: AbstractHttpAdapter | undefined): void {
  if (adapter === undefined) return;
  const target = adapter as unknown as Record<'reply' | 'render' | 'redirect', Answer>;
  for (const method of ['reply', 'render', 'redirect'] as const) {
    const original: Answer = target[method].bind(adapter);
    target[method] = (response, ...rest) =>
      isAnswered(response, statusOf(method, rest)) ? undefined : original(response, ...rest);
  }
}

/** What `reply` is told beside the body. */
const statusOf = (method: string, [, status]: unknown[]): number | undefined =>
  method === 'reply' && typeof status === 'number' ? status : undefined;
