import { EventEmitter } from 'node:events';
import type { OutgoingHttpHeader, ServerResponse } from 'node:http';
import type { HttpHeaders } from './http-headers.ts';
import {
  BodyBuffer,
  headerArguments,
  readArguments,
  type RecordedResponse,
  type WriteArguments,
} from './response-recorder.ts';

/** What a response already says before its handler runs. */
export interface ResponseStart {
  readonly status: number;
  readonly headers: HttpHeaders;
}

export const startOf = (raw: ServerResponse): ResponseStart => ({
  status: raw.statusCode,
  headers: { ...raw.getHeaders() },
});

/**
 * Turns a response that has been sent into one that is rendered for the store: guards have passed, the client has its
 * answer, and the pipeline behind the cache writes once more into the same object without a byte reaching the socket.
 *
 * What says that the response is over says that it has just begun; whoever listens from now on hears of the second one.
 * Whoever has listened before (access logs) hears of the first one, and finds it as the client got it.
 */
export class ResponseSink {
  readonly finished: Promise<RecordedResponse>;
  private readonly headers: Map<string, OutgoingHttpHeader>;
  private readonly events = new EventEmitter();
  private readonly body: BodyBuffer;
  private status: number;
  private isEnded = false;
  /** What the client got. */
  private readonly sent: ResponseStart;
  /** Whether those who have listened before are told that it is over. */
  private isTelling = false;
  private finish!: (recorded: RecordedResponse) => void;

  /** @param start status and headers as they were when the pipeline first began */
  constructor(raw: ServerResponse, start: ResponseStart, maxBytes: number) {
    this.status = start.status;
    this.sent = startOf(raw);
    this.headers = new Map(Object.entries(start.headers) as [string, OutgoingHttpHeader][]);
    this.body = new BodyBuffer(maxBytes);
    this.finished = new Promise((resolve) => (this.finish = resolve));
    this.events.setMaxListeners(0);
    this.takeOver(raw);
  }

  /** Nothing more will come: what was rendered is not whole. */
  abort(): void {
    this.end(false);
  }

  private takeOver(raw: ServerResponse): void {
    Object.defineProperties(raw, this.state());
    Object.assign(raw, this.headerMethods(raw), this.writeMethods(raw), this.eventMethods(raw));
  }

  private state(): PropertyDescriptorMap {
    // Node sets some of them when the connection closes: that is about the first response.
    const ended = { configurable: true, get: () => this.isTelling || this.isEnded, set: () => undefined };
    const never = { configurable: true, get: () => false, set: () => undefined };
    return {
      ...{ headersSent: ended, writableEnded: ended, writableFinished: ended, finished: ended },
      ...{ closed: never, destroyed: never, writableNeedDrain: never },
      statusCode: {
        configurable: true,
        get: () => (this.isTelling ? this.sent.status : this.status),
        set: (status: number) => (this.status = status),
      },
    };
  }

  private headerMethods(raw: ServerResponse): object {
    const { headers } = this;
    const set = (name: string, value: OutgoingHttpHeader): ServerResponse => {
      headers.set(name.toLowerCase(), value);
      return raw;
    };
    return {
      setHeader: set,
      setHeaders: (given: Iterable<[string, string]>) => {
        for (const [name, value] of given) set(name, value);
        return raw;
      },
      appendHeader: (name: string, value: string | readonly string[]) =>
        set(name, [headers.get(name.toLowerCase()) ?? [], value].flat().map(String)),
      getHeader: (name: string) =>
        this.isTelling ? this.sent.headers[name.toLowerCase()] : headers.get(name.toLowerCase()),
      hasHeader: (name: string) => headers.has(name.toLowerCase()),
      removeHeader: (name: string) => void headers.delete(name.toLowerCase()),
      getHeaders: () => Object.fromEntries(headers),
      getHeaderNames: () => [...headers.keys()],
    };
  }

  private writeMethods(raw: ServerResponse): object {
    return {
      writeHead: (status: number, ...rest: unknown[]) => {
        this.status = status;
        for (const [name, value] of headerArguments(rest)) this.headers.set(name, value);
        return raw;
      },
      flushHeaders: () => undefined,
      writeContinue: () => undefined,
      writeEarlyHints: () => undefined,
      write: (...args: WriteArguments) => {
        const { chunk, callback } = readArguments(args);
        this.body.add(chunk);
        if (callback !== undefined) process.nextTick(callback);
        return true;
      },
      end: (...args: WriteArguments) => {
        const { chunk, callback } = readArguments(args);
        this.body.add(chunk);
        if (callback !== undefined) process.nextTick(callback);
        this.end(true);
        return raw;
      },
      destroy: () => {
        this.end(false);
        return raw;
      },
    };
  }

  private eventMethods(raw: ServerResponse): object {
    const { events } = this;
    const listening = (method: 'on' | 'once' | 'prependListener' | 'off') =>
      ((event: string, listener: () => void) => {
        events[method](event, listener);
        return raw;
      }) as unknown;
    const emit = raw.emit.bind(raw) as (...event: unknown[]) => boolean;
    return {
      emit: (...event: unknown[]) => {
        this.isTelling = true;
        try {
          return emit(...event);
        } finally {
          this.isTelling = false;
        }
      },
      on: listening('on'),
      addListener: listening('on'),
      once: listening('once'),
      prependListener: listening('prependListener'),
      off: listening('off'),
      removeListener: listening('off'),
    };
  }

  private end(isWhole: boolean): void {
    if (this.isEnded) return;
    this.isEnded = true;
    const { status, body } = this;
    const headers = Object.fromEntries(this.headers) as RecordedResponse['headers'];
    this.finish({ status, headers, body: body.whole(), bytes: body.bytes, isWhole });
    process.nextTick(() => {
      if (isWhole) this.events.emit('finish');
      this.events.emit('close');
    });
  }
}
