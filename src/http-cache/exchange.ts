import type { CallHandler, ExecutionContext } from '@nestjs/common';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { pipeline, Readable } from 'node:stream';
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
  readonly removeHeader: (name: string) => unknown;
}

/** What only Fastify has. */
interface FastifyReply extends HttpResponse {
  readonly raw: ServerResponse;
  readonly code: (status: number) => unknown;
  readonly getHeaders: () => Record<string, number | string | readonly string[] | undefined>;
  readonly send: (body?: string | Buffer | Readable) => unknown;
}

/** A response that did not come from the handler of this request. */
export interface ReadyResponse {
  readonly status: number;
  readonly headers: readonly StoredHeader[];
  /** Headers of this one answer: they win over the others. */
  readonly extra: readonly StoredHeader[];
  readonly body: string | Buffer | undefined;
}

/** The same, with a body that may come in pieces: destroyed when the client goes, and the client's connection with it. */
export interface SentResponse extends Omit<ReadyResponse, 'body'> {
  readonly body: ReadyResponse['body'] | Readable;
}

const ANSWERED: unique symbol = Symbol.for('nestjs-keep:answered');

/** An answer that has been sent, or is when the interceptors around the handler have said all that they have to say. */
interface Answer {
  send?: (() => void) | undefined;
}

/**
 * Whether a request has its answer, so that nobody else has anything to send; one that waits for this moment is sent.
 * @param status what somebody else would answer with; one that waits gives way to an error
 */
export function isAnswered(response: object, status = 200): boolean {
  const answer = (response as { readonly [ANSWERED]?: Answer | true })[ANSWERED];
  if (answer === undefined || answer === true || answer.send === undefined) return answer !== undefined;
  if (status >= 400) return false;
  const { send } = answer;
  answer.send = undefined;
  send();
  return true;
}

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

  /** @param isPatient whether answers wait for the interceptors around the handler, which may still set headers */
  constructor(
    readonly context: ExecutionContext,
    private readonly next: CallHandler,
    /** Where it is counted what a cache did with it. */
    readonly counts?: CacheCounts,
    private readonly isPatient = false,
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
  send(answer: SentResponse): void {
    this.markAnswered(this.isPatient ? () => this.sendNow(answer) : undefined);
    if (!this.isPatient) this.sendNow(answer);
    else if (answer.body instanceof Readable) this.giveUpWithClient(answer.body);
  }

  /** Answers at once, past whatever hooks into responses: the platform is to answer this request once more. */
  sendRaw({ status, headers, extra, body }: ReadyResponse): void {
    const { raw } = this;
    const own = this.reply?.getHeaders() ?? {};
    for (const [name, value] of Object.entries(own)) if (value !== undefined) raw.setHeader(name, value);
    raw.removeHeader('cache-tag');
    if (status === 304) for (const name of ABOUT_BODY) raw.removeHeader(name);
    for (const [name, value] of headers) raw.setHeader(name, value);
    for (const [name, value] of extra) raw.setHeader(name, value);
    if (body !== undefined && status !== 204) raw.setHeader('content-length', Buffer.byteLength(body));
    raw.writeHead(status);
    raw.end(body);
  }

  /** @param send sends the answer when it is time; left out, it has been sent */
  markAnswered(send?: () => void): void {
    (this.response as { [ANSWERED]?: Answer | true })[ANSWERED] = send === undefined ? true : { send };
  }

  private sendNow(answer: SentResponse): void {
    if (this.reply === undefined) this.sendByNode(answer);
    else this.sendByFastify(this.reply, answer);
  }

  /** Nobody reads a body that waits to be sent when the request ends in another way. */
  private giveUpWithClient(body: Readable): void {
    this.raw.once('close', () => body.destroy());
  }

  private sendByNode({ status, headers, extra, body }: SentResponse): void {
    const { raw } = this;
    raw.statusCode = status;
    if (status === 304) for (const name of ABOUT_BODY) raw.removeHeader(name);
    for (const [name, value] of headers) raw.setHeader(name, value);
    for (const [name, value] of extra) raw.setHeader(name, value);
    if (body instanceof Readable) {
      // Sends the head: `flushHeaders` would encode it as if it were text.
      raw.write(Buffer.alloc(0));
      pipeline(body, raw, () => undefined);
      return;
    }
    if (body !== undefined && status !== 204) raw.setHeader('content-length', Buffer.byteLength(body));
    raw.end(body);
  }

  private sendByFastify(reply: FastifyReply, { status, headers, extra, body }: SentResponse): void {
    reply.code(status);
    if (status === 304) for (const name of ABOUT_BODY) reply.removeHeader(name);
    for (const [name, value] of headers) reply.header(name, value);
    for (const [name, value] of extra) reply.header(name, value);
    // An empty buffer would be given a content type that the handler did not set.
    if (body instanceof Readable || (body !== undefined && body.length > 0)) reply.send(body);
    else reply.send();
  }
}
