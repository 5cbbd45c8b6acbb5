import { type ExecutionContext, Injectable, NotFoundException, type OnApplicationShutdown } from '@nestjs/common';
import { RESPONSE_PASSTHROUGH_METADATA, ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { EMPTY } from 'rxjs';
import type { CacheCounts } from '../cache/cache-metrics.ts';
import { PROBLEM_JSON } from '../common/problem.ts';
import type { Telemetry } from '../common/telemetry.ts';
import { Exchange } from '../http-cache/exchange.ts';
import type { Answerer } from './answerer.ts';
import { clientOf } from './client-request.ts';
import { ForwardedCall } from './forwarded-call.ts';
import { hasPassed } from './forwarded-headers.ts';
import type { GatewayCache } from './gateway-cache.ts';
import { BodyTooLargeError, ClientGoneError, GatewayError, isGatewayError } from './gateway.errors.ts';
import { MAX_HEADER_LINES } from './hop-headers.ts';
import { targetPath, wildcardOf } from './target-path.ts';
import type { Upstream } from './upstream.ts';
import { gatewayErrorOf } from './upstream-failure.ts';

export interface ForwardOptions {
  /**
   * Where to on the upstream, absolute; with a query of its own, or the request's is put behind it. Left out, it is what
   * the wildcard of the route stands for.
   */
  readonly path?: string;
  /** What to answer with when the upstream is not available (502, 503 or 504) and nothing stored may be served. */
  readonly fallback?: (error: GatewayError, context: ExecutionContext) => unknown;
}

export interface GatewayServiceParts {
  readonly name: string;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly cache: GatewayCache;
  /** Whether anything is cached at all. */
  readonly isCacheOn: boolean;
  readonly answerer: Answerer;
  readonly telemetry: Telemetry;
  /** Where it is counted what the cache did. */
  readonly counts: CacheCounts;
}

/** What both platforms have. */
interface HttpReply {
  readonly header: (name: string, value: string) => unknown;
}

const NO_HANDLER = { handle: () => EMPTY };
/** The client closed the connection: nobody is told, but it is counted. */
const CLIENT_GONE = 499;

/**
 * Forwards requests to the upstreams that are configured, and to nothing else.
 *
 * @publicApi
 */
@Injectable()
export class GatewayService implements OnApplicationShutdown {
  constructor(private readonly parts: GatewayServiceParts) {}

  /** Whether an upstream has this name. */
  has(upstream: string): boolean {
    return this.parts.upstreams.has(upstream);
  }

  /**
   * Answers the request of a route with what the upstream says, from the cache where that is allowed. Resolves when the
   * answer has begun, with nothing left to send; with a `fallback`, with what that returned.
   * @throws GatewayError (400, 413, 502, 503, 504, 508); NotFoundException when no upstream has the name
   */
  async forward(context: ExecutionContext, upstream: string, options: ForwardOptions = {}): Promise<unknown> {
    const target = this.parts.upstreams.get(upstream);
    if (target === undefined) throw new NotFoundException('There is no such service');
    const exchange = new Exchange(context, NO_HANDLER, this.parts.counts, !answersByItself(context));
    const client = new ClientPresence(exchange);
    exchange.raw.once('close', () => this.count(upstream, client.isGone ? CLIENT_GONE : exchange.raw.statusCode));
    try {
      await this.answer(this.callOf(exchange, target, options), client.signal);
      return undefined;
    } catch (error) {
      return this.failed(error, { exchange, client, upstream, options });
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.parts.upstreams.values()].map((upstream) => upstream.close()));
  }

  private async answer(call: ForwardedCall, signal: AbortSignal): Promise<void> {
    const { cache, isCacheOn, answerer } = this.parts;
    const options = isCacheOn ? call.upstream.options.cache : undefined;
    if (options !== undefined) await cache.answer(call, options, signal);
    else answerer.pass(call, await call.forward(signal));
  }

  /** @throws GatewayError for what cannot be forwarded */
  private callOf(exchange: Exchange, upstream: Upstream, { path: given }: ForwardOptions): ForwardedCall {
    const { name: gateway } = this.parts;
    const { name, options } = upstream;
    if (hasPassed(exchange.request.headers, gateway)) throw new GatewayError(name, 'proxy_loop_detected');
    if (clientOf(exchange).raw.rawHeaders.length > 2 * MAX_HEADER_LINES) {
      throw new GatewayError(name, 'http_request_error', { status: 431 });
    }
    const wildcard = given === undefined ? wildcardOf(clientOf(exchange).pattern ?? '', exchange.url) : undefined;
    const path = targetPath(options.basePath, wildcard?.path ?? withQuery(given ?? '', exchange.url));
    if (path === undefined) throw new GatewayError(name, 'http_request_error');
    return new ForwardedCall({ exchange, upstream, gateway, path, mount: wildcard?.mount });
  }

  private failed(error: unknown, { exchange, client, upstream, options }: Failed): unknown {
    if (client.isGone || error instanceof ClientGoneError) {
      exchange.markAnswered();
      return undefined;
    }
    if (error instanceof BodyTooLargeError) error = gatewayErrorOf(upstream, error);
    if (!isGatewayError(error)) throw error;
    const { context } = exchange;
    if (options.fallback !== undefined && UNAVAILABLE.has(error.getStatus())) return options.fallback(error, context);
    this.describe(error, context.switchToHttp().getResponse<HttpReply>());
    throw error.asProblem();
  }

  private describe({ reason, retryAfterMs }: GatewayError, reply: HttpReply): void {
    reply.header('content-type', PROBLEM_JSON);
    reply.header('proxy-status', `${this.parts.name}; error=${reason}`);
    if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1_000))));
  }

  private count(upstream: string, code: number): void {
    this.parts.telemetry.upstreams.of(upstream).of(String(code)).n++;
  }
}

interface Failed {
  readonly exchange: Exchange;
  readonly client: ClientPresence;
  readonly upstream: string;
  readonly options: ForwardOptions;
}

const UNAVAILABLE: ReadonlySet<number> = new Set([502, 503, 504]);

/** Parameters of handlers that get the response of the platform, or `next`, as Nest counts them. */
const RESPONSE_PARAMETER = /^[12]:/;

/** Whether Nest leaves the answer to the handler: with `@Res()` it never says that it is time to send. */
function answersByItself(context: ExecutionContext): boolean {
  const [controller, { name }] = [context.getClass(), context.getHandler()];
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, name) ?? {}) as object;
  if (Reflect.getMetadata(RESPONSE_PASSTHROUGH_METADATA, controller, name) === true) return false;
  return Object.keys(parameters).some((parameter) => RESPONSE_PARAMETER.test(parameter));
}

/** The path that was given, with the query of the request behind it unless it has its own. */
function withQuery(path: string, url: string): string {
  const at = url.indexOf('?');
  return path.includes('?') || at === -1 ? path : path + url.slice(at);
}

/** Whether the client is still there to be answered. */
class ClientPresence {
  private readonly controller = new AbortController();

  constructor({ raw }: Exchange) {
    raw.once('close', () => {
      if (!raw.writableFinished) this.controller.abort(new ClientGoneError());
    });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get isGone(): boolean {
    return this.signal.aborted;
  }
}
