import { createConnection } from 'node:net';
import { HOST } from './server.mjs';

/** Questions that are under way on one connection: a client that waits for each answer measures the way, not the server. */
const DEPTH = 8;
const CONNECTIONS = 8;
const LENGTH = /\r\ncontent-length: (\d+)/i;

/**
 * Asks `paths` in turn for `ms` milliseconds, over connections that are kept. It costs little itself: requests are bytes
 * that were made before, and of an answer only its length is read.
 *
 * @throws Error when an answer is not a 200 with a length
 */
export async function fire({ port, paths, ms, headers = {} }) {
  const lines = Object.entries({ host: `${HOST}:${port}`, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const requests = paths.map((path) => Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`));
  const startedAt = performance.now();
  const state = { next: 0, endsAt: startedAt + ms };
  const counts = await Promise.all(Array.from({ length: CONNECTIONS }, () => talk(port, requests, state)));
  return { ops: counts.reduce((sum, count) => sum + count, 0), ms: performance.now() - startedAt };
}

function talk(port, requests, state) {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: HOST, noDelay: true });
    let [waiting, answered, rest] = [0, 0, Buffer.alloc(0)];
    const ask = () => {
      const batch = [];
      for (; waiting < DEPTH && performance.now() < state.endsAt; waiting++) {
        batch.push(requests[state.next++ % requests.length]);
      }
      if (batch.length > 0) socket.write(Buffer.concat(batch));
      else if (waiting === 0) socket.end();
    };
    socket.on('connect', ask);
    socket.on('error', reject);
    socket.on('close', () => resolve(answered));
    socket.on('data', (chunk) => {
      const { ends, error } = answersIn(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
      if (error !== undefined) socket.destroy(error);
      rest = ends.rest;
      answered += ends.count;
      waiting -= ends.count;
      if (waiting <= DEPTH / 2) ask();
    });
  });
}

/** Whole answers at the beginning of these bytes, and what is left. */
function answersIn(bytes) {
  let [at, count] = [0, 0];
  for (;;) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    if (headEnd === -1) return { ends: { count, rest: bytes.subarray(at) } };
    const head = bytes.latin1Slice(at, headEnd);
    const length = LENGTH.exec(head);
    if (!head.startsWith('HTTP/1.1 200') || length === null) {
      return { ends: { count, rest: Buffer.alloc(0) }, error: new Error(`not expected: ${head.slice(0, 200)}`) };
    }
    const end = headEnd + 4 + Number(length[1]);
    if (end > bytes.length) return { ends: { count, rest: bytes.subarray(at) } };
    at = end;
    count++;
  }
}
