import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { HOST } from './free-ports.ts';

/** A request as it came to the upstream. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

type Behaviour = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Sends bytes that no HTTP library would send, then closes. */
const raw =
  (text: string): Behaviour =>
  ({ socket }) =>
    socket.end(text);

/** How long a piece of `/stream` is, and how many there are. */
export const STREAM = { pieceBytes: 64 * 1024, pieces: 1_000 };

/** A service that fails in every way there is, by the path that it is asked for. */
export class ChaosUpstream {
  readonly seen: SeenRequest[] = [];
  /** Of `/stream`, as far as the next hop has taken them. */
  piecesSent = 0;
  /** Requests whose connection was closed before they were answered. */
  abandoned = 0;
  /** Answers of paths that a test brings itself. */
  readonly behaviours: Record<string, Behaviour> = {
    '/ok': (_, response) => response.end('fine'),
    '/echo': async (request, response) => {
      const { method, url, headers } = request;
      const body = await buffer(request);
      const text = { method, url, headers, bytes: body.length, body: body.toString('latin1').slice(0, 200) };
      response.setHeader('content-type', 'application/json').end(JSON.stringify(text));
    },
    '/silent': () => undefined,
    '/slow-body': (_, response) => response.writeHead(200, { 'content-length': '100' }).write('begun'),
    '/drip': async (_, response) => {
      for (let piece = 0; piece < 20 && !response.destroyed; piece++) {
        response.write('drip');
        await sleep(100);
      }
      response.end();
    },
    '/reset': ({ socket }) => socket.destroy(),
    '/reset-body': (_, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('begun');
      setTimeout(() => response.socket?.destroy(), 50);
    },
    '/short': raw('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort'),
    '/two-lengths': raw('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef'),
    '/split': raw('HTTP/1.1 200 OK\r\nX-A: b\rX-Evil: 1\r\nContent-Length: 0\r\n\r\n'),
    '/garbage': raw('this is no HTTP\r\n\r\n'),
    '/large-headers': raw(`HTTP/1.1 200 OK\r\nX-Large: ${'x'.repeat(20_000)}\r\nContent-Length: 0\r\n\r\n`),
    '/many-headers': raw(`HTTP/1.1 200 OK\r\n${'X-M: 1\r\n'.repeat(400)}Content-Length: 0\r\n\r\n`),
    '/teapot': (_, response) => response.writeHead(418).end('short and stout'),
    '/broken': (_, response) => response.writeHead(500).end('a bug'),
    '/busy': (_, response) => response.writeHead(503, { 'retry-after': '7' }).end('busy'),
    '/stream': async (_, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      const piece = Buffer.alloc(STREAM.pieceBytes, 'x');
      this.piecesSent = 0;
      const closed = once(response, 'close');
      for (; this.piecesSent < STREAM.pieces && !response.destroyed; this.piecesSent++) {
        if (!response.write(piece)) await Promise.race([once(response, 'drain'), closed]);
      }
      response.end();
    },
  };
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => undefined);
    });
    server.on('request', (request, response) => this.answer(request, response));
  }

  static async start(): Promise<ChaosUpstream> {
    const server = createServer({ keepAliveTimeout: 60_000 });
    server.listen(0, HOST);
    await once(server, 'listening');
    return new ChaosUpstream(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `http://${HOST}:${this.port}`;
  }

  /** How many requests for a path have come. */
  asked(path: string): number {
    return this.seen.filter(({ url }) => url.split('?')[0] === path).length;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request;
    this.seen.push({ method, url, headers });
    response.on('close', () => (this.abandoned += Number(!response.writableFinished)));
    const behave = this.behaviours[url.split('?')[0] ?? ''] ?? ((_, unknown) => unknown.writeHead(404).end('nothing'));
    void behave(request, response);
  }
}
