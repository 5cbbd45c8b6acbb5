import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Exchange } from '../http-cache/exchange.ts';

/** What Express and Fastify each know of a request. */
interface PlatformRequest {
  readonly headers: IncomingHttpHeaders;
  readonly ip?: string;
  readonly protocol?: string;
  readonly body?: unknown;
  readonly rawBody?: unknown;
  /** Only Fastify has it; an Express request is the message itself. */
  readonly raw?: IncomingMessage;
  readonly route?: { readonly path?: unknown };
  readonly routeOptions?: { readonly url?: string };
}

/** The request of a client, as the gateway needs it. */
export interface ClientRequest {
  readonly headers: IncomingHttpHeaders;
  readonly raw: IncomingMessage;
  readonly ip: string | undefined;
  readonly remoteAddress: string | undefined;
  readonly protocol: string | undefined;
  readonly parsed: unknown;
  readonly rawBody: unknown;
  /** The path that the route was declared with; undefined when it is no text. */
  readonly pattern: string | undefined;
}

export function clientOf({ context }: Pick<Exchange, 'context'>): ClientRequest {
  const request = context.switchToHttp().getRequest<PlatformRequest & IncomingMessage>();
  const { headers, ip, protocol, body, rawBody, route, routeOptions } = request;
  const raw = request.raw ?? request;
  const pattern = routeOptions?.url ?? route?.path;
  return {
    ...{ headers, raw, ip, protocol, rawBody, parsed: body },
    remoteAddress: raw.socket.remoteAddress,
    pattern: typeof pattern === 'string' ? pattern : undefined,
  };
}
