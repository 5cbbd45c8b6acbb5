import type { Readable } from 'node:stream';
import { clientOf } from './client-request.ts';
import type { Exchange } from '../http-cache/exchange.ts';
import type { HttpHeaders } from '../http-cache/semantics.ts';
import { forwardedHeaders } from './forwarded-headers.ts';
import { endToEnd, type WireHeaders } from './hop-headers.ts';
import { bodyOf } from './request-body.ts';
import { passInterim } from './interim-responses.ts';
import { rewrittenLocation } from './target-path.ts';
import type { Upstream } from './upstream.ts';

/** What an upstream has answered, as it goes on to the client. */
export interface Received {
  readonly status: number;
  /** Without those of the connection; what leads to the upstream leads to the gateway. */
  readonly headers: WireHeaders;
  readonly body: Readable;
  readonly requestedAtMs: number;
  readonly receivedAtMs: number;
}

export interface ForwardedCallParts {
  readonly exchange: Exchange;
  readonly upstream: Upstream;
  /** What the gateway calls itself. */
  readonly gateway: string;
  /** On the upstream, with its query. */
  readonly path: string;
  /** Undefined where it is not known. */
  readonly mount: string | undefined;
}

const CONDITIONS = ['if-none-match', 'if-modified-since'];

/** One request of a client, on its way to one upstream. */
export class ForwardedCall {
  readonly exchange: Exchange;
  readonly upstream: Upstream;
  readonly path: string;
  readonly mount: string | undefined;
  readonly method: string;
  /**
   * What the client says, without what is about its connection: an upstream never sees that, so neither may it choose
   * what is found in the cache.
   */
  readonly asked: HttpHeaders;
  private readonly sent: WireHeaders;

  constructor({ exchange, upstream, gateway, path, mount }: ForwardedCallParts) {
    const { method, headers } = exchange.request;
    this.exchange = exchange;
    this.upstream = upstream;
    this.path = path;
    this.mount = mount;
    this.method = method;
    this.asked = endToEnd(headers);
    this.sent = { ...forwardedHeaders(clientOf(exchange), gateway), ...upstream.options.headers };
  }

  /** As the client asks. @throws GatewayError, ClientGoneError, BodyTooLargeError */
  forward(signal: AbortSignal): Promise<Received> {
    const { headers, raw, parsed, rawBody } = clientOf(this.exchange);
    const body = bodyOf({ headers, raw, parsed, rawBody }, this.upstream.options.maxRequestBytes);
    return this.fetch(this.sent, signal, body);
  }

  /** Under other conditions than the client's, for the store. */
  revalidate(conditions: WireHeaders, signal: AbortSignal): Promise<Received> {
    const plain = Object.entries(this.sent).filter(([name]) => !CONDITIONS.includes(name));
    return this.fetch({ ...Object.fromEntries(plain), ...conditions }, signal, undefined);
  }

  private async fetch(headers: WireHeaders, signal: AbortSignal, body: Readable | undefined): Promise<Received> {
    const { path, mount, upstream, method } = this;
    const { origin, basePath } = upstream.options;
    const requestedAtMs = Date.now();
    const { status, ...response } = await upstream.fetch({
      ...{ method, path, headers, signal, body },
      onInterim: (interim, said) => passInterim(this.exchange.raw, interim, said),
    });
    const own = endToEnd(response.headers);
    const { location, 'content-location': place } = own;
    if (typeof location === 'string') own['location'] = rewrittenLocation(location, { origin, basePath, mount });
    // Where it does not name the upstream it tells caches what the response is, in the upstream's own words.
    if (typeof place === 'string' && /^https?:/i.test(place)) {
      own['content-location'] = rewrittenLocation(place, { origin, basePath, mount });
    }
    return { status, headers: own, body: response.body, requestedAtMs, receivedAtMs: Date.now() };
  }
}
