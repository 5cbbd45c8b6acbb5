import {
  type CallHandler,
  type ExecutionContext,
  HttpException,
  Injectable,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { defer, lastValueFrom, type Observable } from 'rxjs';
import { CacheService } from '../cache/cache.service.ts';
import {
  type CacheableOperation,
  cacheableOperationOf,
  readOptionsFor,
  tagEntry,
} from '../cache/cacheable.decorator.ts';
import { currentRequest, type RequestData } from '../cache/current-request.ts';
import type { KeyContext } from '../cache/method-template.ts';
import { requestPlaceholdersOf } from '../cache/request-placeholders.ts';
import { routeKeyOf, routeNameOf, type RouteRequest } from './route-cache-key.ts';
import { ownsResponse } from './route-rules.ts';

interface HttpRequest extends RequestData, RouteRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** What Express and Fastify have in common. */
interface HttpResponse {
  readonly statusCode: number;
  readonly getHeader: (name: string) => unknown;
}

interface RouteCall {
  readonly operation: CacheableOperation;
  readonly name: string;
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  /** Everything behind this interceptor: other interceptors, pipes, the handler. */
  readonly run: () => Promise<unknown>;
}

/**
 * Does on routes what `@Cacheable` says: the value of a GET is cached by path and query, behind all guards. Whoever is
 * known to the application, by `Authorization`, by a cookie or as `request.user`, gets an answer of their own.
 *
 * It has to be the first interceptor, see `placeFirst`: then what it stores has been through the serialisers of the
 * application, and a hit shows no field that they hide.
 */
@Injectable()
export class RouteCacheInterceptor implements NestInterceptor {
  constructor(private readonly cache: CacheService) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    const [handler, controller] = [context.getHandler(), context.getClass()];
    const request = context.switchToHttp().getRequest<HttpRequest>();
    // Not called before it is needed: what runs behind it belongs to the context in which it is called.
    const handle = requestPlaceholdersOf(handler).length === 0 ? () => next.handle() : () => handleWith(request, next);
    const operation = cacheableOperationOf(handler);
    if (operation === undefined || !isShareable(request)) return handle();
    const { property } = operation.declaration;
    if (ownsResponse(controller, property)) return handle();
    const call: RouteCall = {
      operation,
      name: routeNameOf(controller, handler, property),
      request,
      response: context.switchToHttp().getResponse<HttpResponse>(),
      run: () => lastValueFrom(handle(), { defaultValue: undefined }),
    };
    return defer(() => this.answer(call));
  }

  private async answer({ operation, name, request, response, run }: RouteCall): Promise<unknown> {
    const context: KeyContext = { name, args: [], request };
    const key = operation.key.kind === 'template' ? operation.key.of(context) : routeKeyOf(name, request);
    let own: Private | undefined;
    const answer = await this.cache.getOrSet<unknown>(key, readOptionsFor(operation, context), async (entry) => {
      const outcome = await outcomeOf(run, response);
      if (outcome instanceof Private) {
        entry.skip();
        own = outcome;
      } else {
        tagEntry(operation, entry, { ...context, result: outcome });
      }
      return outcome;
    });
    if (!(answer instanceof Private)) return answer;
    return answer === own ? answer.give() : run();
  }
}

/** Puts the interceptor before every other; called before routes are registered, in a module's `configure()`. */
export function placeFirst(interceptor: RouteCacheInterceptor, config: ApplicationConfig): void {
  config.getGlobalInterceptors().unshift(interceptor);
}

/** The answer to one request that no other request, waiting for the same entry, may get. */
class Private {
  constructor(readonly give: () => unknown) {}
}

/** What the handler returns, private if another request could not be answered with it. */
async function outcomeOf(run: () => Promise<unknown>, response: HttpResponse): Promise<unknown> {
  const { statusCode } = response;
  try {
    const result = await run();
    const isRepeatable = response.statusCode === statusCode && !forbidsStoring(response) && !isStream(result);
    return isRepeatable ? result : new Private(() => result);
  } catch (error) {
    // That something is not there, or not allowed, is an answer, not a failure that a stale value should hide.
    if (!isClientError(error)) throw error;
    return new Private(() => {
      throw error;
    });
  }
}

const isShareable = ({ method, headers, user }: HttpRequest): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  headers['authorization'] === undefined &&
  headers['cookie'] === undefined &&
  (user === undefined || user === null);

const forbidsStoring = (response: HttpResponse): boolean =>
  response.getHeader('set-cookie') !== undefined ||
  /\b(?:no-store|no-cache|private)\b/i.test(String(response.getHeader('cache-control')));

const isStream = (value: unknown): boolean => {
  if (value instanceof StreamableFile) return true;
  const { pipe, getReader } = Object(value) as { pipe?: unknown; getReader?: unknown };
  return typeof pipe === 'function' || typeof getReader === 'function';
};

const isClientError = (error: unknown): boolean => error instanceof HttpException && error.getStatus() < 500;

/** Runs the handler with the request in reach of the decorators around its method. */
const handleWith = (request: RequestData, next: CallHandler): Observable<unknown> =>
  currentRequest.run(request, () => next.handle());
