import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { json, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist-sample/main.js', import.meta.url));

/** The built sample in a process of its own, on a free port. `env` comes on top of this process's environment. */
export async function startSample(env) {
  if (!existsSync(MAIN)) throw new Error('The sample is not built: run npm run build && npm run build:sample');
  const child = spawn(process.execPath, [MAIN], {
    // Nobody's .env is in the temporary directory.
    cwd: tmpdir(),
    env: { ...process.env, NO_COLOR: '1', NODE_ENV: 'production', HOST: '127.0.0.1', ...env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const stop = async () => {
    child.kill();
    await exited;
  };
  process.once('exit', () => child.kill());
  const address = await Promise.race([addressOf(child), exited.then(() => undefined)]);
  if (address === undefined) throw new Error('The sample ended before it was ready');
  const agent = new Agent({ keepAlive: true });
  return { stop, send: (method, path, body) => send({ address, agent, method, path, body }) };
}

/** The first address that it prints for its user to open. */
async function addressOf(child) {
  for await (const line of createInterface(child.stdout)) {
    const [address] = /http:\/\/[^\s/]+/.exec(line) ?? [];
    if (address === undefined) continue;
    child.stdout.resume();
    return address;
  }
  return undefined;
}

async function send({ address, agent, method, path, body }) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const request = httpRequest(new URL(path, address), { agent, method, headers });
  request.end(body && JSON.stringify(body));
  const [response] = await once(request, 'response');
  const isJson = response.headers['content-type']?.includes('json');
  return { status: response.statusCode, body: await (isJson ? json : text)(response) };
}
