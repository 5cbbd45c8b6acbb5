import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { HOST } from './free-ports.ts';

/**
 * - `pass`: everything goes through
 * - `reject`: new connections are reset
 * - `blackhole`: connections stay open and swallow everything, as after a cable was cut
 * - `drop-replies`: the server executes, the client never hears of it
 * - `drop-requests`: the server hears nothing
 * - `cut-after-request`: the next request reaches the server, then the client's connection is reset
 */
export type ProxyMode = 'pass' | 'reject' | 'blackhole' | 'drop-replies' | 'drop-requests' | 'cut-after-request';

export interface ProxyOptions {
  /** Makes clients speak TLS; the server behind is still reached without. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

type Direction = 'request' | 'reply';

const SWALLOWED: Readonly<Record<ProxyMode, readonly Direction[]>> = {
  pass: [],
  reject: [],
  blackhole: ['request', 'reply'],
  'drop-replies': ['reply'],
  'drop-requests': ['request'],
  'cut-after-request': ['reply'],
};

/** Long enough for the server to read the request before it sees the connection close. */
const CUT_DELAY_MS = 10;

/** A TCP proxy in front of a server that fails on demand; `mode` and `latencyMs` may change at any time. */
export class FaultProxy {
  mode: ProxyMode = 'pass';
  /** Hurts only connections that have subscribed to something; new ones are not known to do so. */
  onlySubscribers = false;
  /** Delay of every chunk, each way. */
  latencyMs = 0;
  /** Answers every command with this error instead of passing it on: `READONLY …`. */
  refusal: string | undefined;
  /** Connections accepted so far, rejected ones included. */
  accepted = 0;
  private readonly links = new Set<Link>();

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {}

  static async start(targetPort: number, { tls }: ProxyOptions = {}): Promise<FaultProxy> {
    const accept = (client: Socket) => proxy.accept(client);
    const server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept);
    const proxy = new FaultProxy(server, targetPort);
    // A client that refuses our certificate is its own business.
    server.on('tlsClientError', () => undefined);
    server.listen(0, HOST);
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Resets all open connections. */
  cut(): void {
    for (const link of [...this.links]) link.cut();
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.cut();
    await closed;
  }

  private accept(client: Socket): void {
    this.accepted += 1;
    if (this.mode === 'reject') {
      client.on('error', () => undefined).resetAndDestroy();
      return;
    }
    const link = new Link(this, client, createConnection(this.targetPort, HOST));
    this.links.add(link);
    client.once('close', () => this.links.delete(link));
  }
}

/** One client's connection and its counterpart to the server. */
class Link {
  /** A direction that lost a byte stays silent: passing on the rest would answer the wrong requests. */
  private readonly silent = new Set<Direction>();
  private isSubscriber = false;

  constructor(
    private readonly proxy: FaultProxy,
    private readonly client: Socket,
    private readonly target: Socket,
  ) {
    client.setNoDelay(true).on('error', () => undefined);
    target.setNoDelay(true).on('error', () => undefined);
    this.forward(client, target, 'request');
    this.forward(target, client, 'reply');
    client.once('close', () => target.destroy());
    target.once('close', () => {
      if (this.mode !== 'blackhole') client.destroy();
    });
  }

  private get mode(): ProxyMode {
    return this.proxy.onlySubscribers && !this.isSubscriber ? 'pass' : this.proxy.mode;
  }

  private get latencyMs(): number {
    return this.proxy.onlySubscribers && !this.isSubscriber ? 0 : this.proxy.latencyMs;
  }

  cut(): void {
    if (this.proxy.onlySubscribers && !this.isSubscriber) return;
    this.client.resetAndDestroy();
    this.target.destroy();
  }

  private forward(from: Socket, to: Socket, direction: Direction): void {
    let delivered = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      if (direction === 'request' && /subscribe/i.test(chunk.toString('latin1'))) this.isSubscriber = true;
      if (direction === 'request' && this.proxy.refusal !== undefined) {
        send(from, Buffer.from(`-${this.proxy.refusal}\r\n`.repeat(commandsIn(chunk))));
        return;
      }
      const isCut = this.mode === 'cut-after-request' && direction === 'request';
      if (SWALLOWED[this.mode].includes(direction)) this.silent.add(direction);
      if (this.silent.has(direction)) return;
      const due = performance.now() + this.latencyMs;
      // One after the other, so that a latency that was lowered does not let later bytes overtake earlier ones.
      delivered = delivered.then(() => until(due)).then(() => send(to, chunk));
      if (isCut) void delivered.then(() => until(performance.now() + CUT_DELAY_MS)).then(() => this.cut());
    });
  }
}

/** How many commands begin in it, as far as no argument looks like one. */
const commandsIn = (chunk: Buffer): number => chunk.toString('latin1').match(/^\*\d+\r$/gm)?.length ?? 0;

function send(to: Socket, chunk: Buffer): void {
  if (to.writable) to.write(chunk);
}

async function until(time: number): Promise<void> {
  const ms = time - performance.now();
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
