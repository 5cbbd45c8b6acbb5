import type { INestApplication } from '@nestjs/common';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';

export interface HttpReply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** Until the first byte of the body, and until the last one. */
  readonly firstByteMs: number;
  readonly tookMs: number;
}

export interface HttpCall {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
  /** @default 5000 */
  readonly timeoutMs?: number;
}

/** A client of one application that never waits forever and changes nothing of what it is told to send. */
export class HttpClient {
  readonly agent = new http.Agent({ keepAlive: true });

  constructor(readonly port: number) {}

  /** Has the application listen on a free port. */
  static async of(app: INestApplication): Promise<HttpClient> {
    await app.listen(0, '127.0.0.1');
    return new HttpClient(((app.getHttpServer() as http.Server).address() as AddressInfo).port);
  }

  get(path: string, headers: http.OutgoingHttpHeaders = {}, call: HttpCall = {}): Promise<HttpReply> {
    return this.call(path, { ...call, headers });
  }

  call(path: string, { method = 'GET', headers = {}, body, timeoutMs = 5_000 }: HttpCall = {}): Promise<HttpReply> {
    const startedAt = performance.now();
    const { port, agent } = this;
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port, path, method, headers, agent }, (response) => {
        const chunks: Buffer[] = [];
        let firstByteMs = NaN;
        response.on('data', (chunk: Buffer) => {
          if (chunks.length === 0) firstByteMs = performance.now() - startedAt;
          chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          const whole = Buffer.concat(chunks);
          const { statusCode: status = 0, headers: received } = response;
          const tookMs = performance.now() - startedAt;
          resolve({ status, headers: received, body: whole, text: whole.toString(), firstByteMs, tookMs });
        });
      });
      request.setTimeout(timeoutMs, () => request.destroy(new Error(`no answer from ${path} in ${timeoutMs} ms`)));
      request.on('error', reject);
      request.end(body);
    });
  }

  /** Sends these very bytes and resolves with what comes back until the server closes, or nothing comes for a while. */
  raw(text: string, quietMs = 2_000): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1');
      let answer = '';
      const done = (): void => {
        socket.destroy();
        resolve(answer);
      };
      socket.setTimeout(quietMs, done);
      socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
      socket.on('error', done);
      socket.on('close', done);
      socket.write(text, 'latin1');
    });
  }

  close(): void {
    this.agent.destroy();
  }
}
