import type { IncomingMessage, ServerResponse } from 'node:http';
import { Get, Inject, type OnModuleDestroy, Req, Res } from '@nestjs/common';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { AdminProblem } from '../admin.problem.ts';
import type { FeedEvent } from '../event-feed.ts';
import { Watches } from './admin.route.ts';
import { HARDENING } from './hardening.ts';

const MAX_STREAMS = 20;
const PING_MS = 15_000;
/** A client that does not read is let go rather than kept in memory. */
const MAX_BUFFERED_BYTES = 1024 ** 2;

/** Express hands out Node's own objects, Fastify wraps them. */
interface Wrapped<T> {
  readonly raw?: T;
  readonly hijack?: () => void;
}

export class EventsController implements OnModuleDestroy {
  readonly #streams = new Set<ServerResponse>();

  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  @Get('api/events')
  @Watches()
  events(
    @Req() request: IncomingMessage & Wrapped<IncomingMessage>,
    @Res() response: ServerResponse & Wrapped<ServerResponse>,
  ): void {
    if (this.#streams.size >= MAX_STREAMS) {
      throw new AdminProblem(503, 'TOO_MANY_STREAMS', 'Too many pages are open', { retryAfterSeconds: 30 });
    }
    response.hijack?.();
    this.#open(request.raw ?? request, response.raw ?? response);
  }

  /** Before the server closes: it would wait for the streams. */
  onModuleDestroy(): void {
    for (const stream of this.#streams) stream.end('event: bye\ndata: {}\n\n');
  }

  #open(request: IncomingMessage, stream: ServerResponse): void {
    const { feed } = this.console;
    stream.writeHead(200, { ...HARDENING, 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    stream.write('retry: 2000\n\n');
    const send = (text: string) => {
      if (stream.writableLength > MAX_BUFFERED_BYTES) stream.destroy();
      else stream.write(text);
    };
    const lastId = Number(request.headers['last-event-id'] ?? Number.NaN);
    for (const event of Number.isSafeInteger(lastId) ? feed.since(lastId) : []) send(written(event));
    const stopListening = feed.listen((event) => send(written(event)));
    const ping = setInterval(() => send(': ping\n\n'), PING_MS).unref();
    this.#streams.add(stream);
    stream.once('close', () => {
      stopListening();
      clearInterval(ping);
      this.#streams.delete(stream);
    });
  }
}

const written = ({ id, type, data }: FeedEvent): string =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
