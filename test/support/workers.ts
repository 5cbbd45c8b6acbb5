import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { CacheModuleOptions } from '../../src/index.ts';

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** One process of an application under test. */
export class Worker {
  private sequence = 0;

  constructor(private readonly child: ChildProcess) {
    child.setMaxListeners(0);
  }

  /** Has the process do something and answers with what came of it. */
  do<T>(act: string, args: object = {}): Promise<T> {
    const id = this.sequence++;
    const answer = new Promise<T>((resolve, reject) => {
      const listen = (reply: Reply): void => {
        if (reply.id !== id) return;
        this.child.off('message', listen);
        if (reply.error === undefined) resolve(reply.value as T);
        else reject(new Error(reply.error));
      };
      this.child.on('message', listen);
    });
    this.child.send({ id, act, args });
    return answer;
  }

  /** Calls a method of `CacheService` there. */
  call<T>(method: string, ...args: unknown[]): Promise<T> {
    return this.do('call', { method, args });
  }

  /** Stops the process, or lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(signal);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
  }
}

/** Starts processes that share a server; they work with the built package, as installed ones would. */
export async function startWorkers(
  count: number,
  options: CacheModuleOptions,
  file = 'cache-worker.mjs',
): Promise<Worker[]> {
  const env = { ...process.env, WORKER_OPTIONS: JSON.stringify(options) };
  return Promise.all(
    Array.from({ length: count }, async () => {
      const child = fork(join(__dirname, file), { env, execArgv: [] });
      await Promise.race([once(child, 'message'), exitBefore(child)]);
      return new Worker(child);
    }),
  );
}

async function exitBefore(child: ChildProcess): Promise<never> {
  const [code] = (await once(child, 'exit')) as [number];
  throw new Error(`a worker exited with ${code} before it was ready`);
}
