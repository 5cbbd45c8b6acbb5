import { fork } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** A process of its own, and calls of what it serves. */
export function startWorker(file, args = [], execArgv = []) {
  const path = fileURLToPath(new URL(`../workers/${file}`, import.meta.url));
  const child = fork(path, args, { execArgv });
  const exited = once(child, 'exit');
  const waiting = new Map();
  let lastId = 0;
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  });
  void exited.then(([code]) => waiting.forEach(({ reject }) => reject(new Error(`${file} ended with ${code}`))));
  return {
    call: (method, params) =>
      new Promise((resolve, reject) => {
        waiting.set(++lastId, { resolve, reject });
        child.send({ id: lastId, method, params });
      }),
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The worker's side. It ends with its parent. */
export function serve(methods) {
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ id, method, params }) => {
    try {
      process.send({ id, result: await methods[method](params) });
    } catch (error) {
      process.send({ id, error: error.message });
    }
  });
}
