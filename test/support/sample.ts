import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { eventually } from './eventually.ts';
import { HOST } from './free-ports.ts';
import type { Platform } from './http-app.ts';

const MAIN = join(__dirname, '../../dist-sample/main.js');
const READY_WITHIN_MS = 15_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: unknown;
}

export interface SampleOptions {
  readonly platform?: Platform;
  readonly env?: Readonly<Record<string, string>>;
}

/** The built sample as a process of its own, as `npm start` runs it. */
export class SampleProcess {
  /** What it has printed so far. */
  output = '';

  private constructor(private readonly child: ChildProcess) {
    child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
  }

  /** Resolves when it has printed its addresses. Of this process's environment it gets only what `env` says. */
  static async start({ platform = 'express', env = {} }: SampleOptions = {}): Promise<SampleProcess> {
    if (!existsSync(MAIN)) throw new Error('The sample is not built: npm run build && npm run build:sample');
    // Nobody's .env is in the temporary directory.
    const cwd = tmpdir();
    const sample = new SampleProcess(
      spawn(process.execPath, [MAIN], { cwd, env: { PORT: '0', NO_COLOR: '1', HTTP_ADAPTER: platform, ...env } }),
    );
    try {
      await eventually(() => sample.isOver || sample.addresses.length > 0, { withinMs: READY_WITHIN_MS });
    } catch (error) {
      await sample.kill();
      throw error;
    }
    if (sample.isOver) throw new Error(`The sample ended before it was ready:\n${sample.output}`);
    return sample;
  }

  /** The addresses that it printed for its user to open. */
  get addresses(): string[] {
    return [...this.output.matchAll(/http:\/\/\S+/g)].map(([address]) => address);
  }

  get isOver(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get(path: string): Promise<Answer> {
    return this.request('GET', path);
  }

  /** Sends the path as it is written; a URL parser would tidy it up. A body that is no text travels as JSON. */
  async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const { port } = new URL(this.addresses[0]!);
    const type = { 'content-type': 'application/json' };
    const request = httpRequest({
      ...{ host: HOST, port, method, path, agent: false },
      headers: body === undefined ? headers : { ...type, ...headers },
    });
    request.end(typeof body === 'string' || body === undefined ? body : JSON.stringify(body));
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const answer = await text(response);
    const isJson = (response.headers['content-type'] ?? '').includes('json');
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      text: answer,
      body: isJson ? (JSON.parse(answer) as unknown) : undefined,
    };
  }

  /** How often its database was asked. */
  async queries(): Promise<number> {
    const { body } = await this.get('/stats/cache');
    return (body as { databaseQueries: number }).databaseQueries;
  }

  /** Asks it to stop, as an orchestrator would; resolves when it is gone. */
  stop(): Promise<void> {
    return this.kill('SIGTERM');
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.isOver) return;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
  }
}
