import type { CallHandler, ExecutionContext } from '@nestjs/common';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { lastValueFrom, type Observable } from 'rxjs';
import type { CacheCounts } from '../cache/cache-metrics.ts';
import type { RequestData } from '../cache/current-request.ts';
import type { HttpHeaders } from './http-headers.ts';
import type { StoredHeader } from './stored-headers.ts';

/** A request, as far as Express and Fastify agree about it. */
export interface HttpRequest extends RequestData {
  readonly method: string;
  readonly url: string;
  /** Express cuts `url` down inside routers. */
  readonly originalUrl?: string;
  /** The host that the client asked for, without port; behind a trusted proxy, what that says. */
  readonly hostname?: string;
  readonly headers: IncomingHttpHeaders;
}

/** A response, as far as Express and Fastify agree about it. */
interface HttpResponse {
  readonly statusCode: number;
  readonly getHeader: (name: string) => number | string | readonly string[] | undefined;
  readonly header: (name: string, value: string | readonly string[]) => unknown;
}

/** What only Fastify has. */
interface FastifyReply extends HttpResponse {
  readonly raw: ServerResponse;
  readonly code: (status: number) => unknown;
  readonly removeHeader: (name: string) => unknown;
  readonly getHeaders: () => Record<string, number | string | readonly string[] | undefined>;
  readonly send: (body?: string | Buffer) => unknown;
}

/** A response that did not come from the handler of this request. */
export interface ReadyResponse {
  readonly status: number;
  readonly headers: readonly StoredHeader[];
  /** Headers of this one answer: they win over the others. */
  readonly extra: readonly StoredHeader[];
  readonly body: string | Buffer | undefined;
}

const ANSWERED: unique symbol = Symbol.for('nestjs-keep:answered');

/** Whether the cache has answered the request: nobody else has anything to send. */
export const isAnswered = (response: object): boolean => ANSWERED in response;

/** About the body of a response, which a 304 does not have. */
const ABOUT_BODY = ['content-type', 'content-length', 'content-encoding', 'transfer-encoding'];

/** One request on its way to the handler, and what can be done about it. */
export class Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly raw: ServerResponse;
  /** What the client says about the response it has, see `takeConditions`. */
  conditions: HttpHeaders;
  /** Of the entry that would answer it. */
  key: string | undefined;
  /** What the handler and the interceptors around it have returned. */
  value: unknown;
  private readonly reply: FastifyReply | undefined;

  constructor(
    readonly context: ExecutionContext,
    private readonly next: CallHandler,
    /** Where it is counted what a cache did with it. */
    readonly counts?: CacheCounts,
  ) {
    const http = context.switchToHttp();
    this.request = http.getRequest<HttpRequest>();
    this.response = http.getResponse<HttpResponse>();
    this.reply = 'raw' in this.response ? (this.response as FastifyReply) : undefined;
    this.conditions = this.request.headers;
    this.raw = this.reply?.raw ?? http.getResponse<ServerResponse>();
  }

  get url(): string {
    return this.request.originalUrl ?? this.request.url;
  }

  /**
   * Keeps the conditions of the request to itself: a whole response is wanted for the store, whatever part of the
   * pipeline would answer with 304.
   */
  takeConditions(): void {
    const { headers } = this.request;
    this.conditions = { ...headers };
    delete headers['if-none-match'];
    delete headers['if-modified-since'];
  }

  /** Everything behind the cache: other interceptors, pipes, the handler. */
  handle(): Observable<unknown> {
    return this.next.handle();
  }

  async run(): Promise<unknown> {
    return (this.value = await lastValueFrom(this.handle(), { defaultValue: undefined }));
  }

  /** Answers through the platform, so that whatever hooks into its responses sees this one too. */
  send({ status, headers, extra, body }: ReadyResponse): void {
    this.markAnswered();
    if (this.reply === undefined) this.sendByNode({ status, headers, extra, body });
    else this.sendByFastify(this.reply, { status, headers, extra, body });
  }

  /** Answers at once, past whatever hooks into responses: the platform is to answer this request once more. */
  sendRaw({ status, headers, extra, body }: ReadyResponse): void {
    const { raw } = this;
    const own = this.reply?.getHeaders() ?? {};
    for (const [name, value] of Object.entries(own)) if (value !== undefined) raw.setHeader(name, value);
    if (status === 304) for (const name of ABOUT_BODY) raw.removeHeader(name);
    for (const [name, value] of headers) raw.setHeader(name, value);
    for (const [name, value] of extra) raw.setHeader(name, value);
    if (body !== undefined && status !== 204) raw.setHeader('content-length', Buffer.byteLength(body));
    raw.writeHead(status);
    raw.end(body);
  }

  markAnswered(): void {
    (this.response as { [ANSWERED]?: boolean })[ANSWERED] = true;
  }

  private sendByNode({ status, headers, extra, body }: ReadyResponse): void {
    const { raw } = this;
    raw.statusCode = status;
    if (status === 304) for (const name of ABOUT_BODY) raw.removeHeader(name);
    for (const [name, value] of headers) raw.setHeader(name, value);
    for (const [name, value] of extra) raw.setHeader(name, value);
    if (body !== undefined && status !== 204) raw.setHeader('content-length', Buffer.byteLength(body));
    raw.end(body);
  }

  private sendByFastify(reply: FastifyReply, { status, headers, extra, body }: ReadyResponse): void {
    reply.code(status);
    if (status === 304) for (const name of ABOUT_BODY) reply.removeHeader(name);
    for (const [name, value] of headers) reply.header(name, value);
    for (const [name, value] of extra) reply.header(name, value);
    // An empty buffer would be given a content type that the handler did not set.
    if (body === undefined || body.length === 0) reply.send();
    else reply.send(body);
  }
}
