// Runs the public suite of HTTP cache tests (github.com/http-tests/cache-tests) against the gateway of the sample:
// `npm run test:conformance -- <folder of the suite>`. The suite needs undici, which is a dev dependency here.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const HOST = '127.0.0.1';
const READY_WITHIN_MS = 30_000;
const WANTED = { required: 145, optimal: 75 };

const root = fileURLToPath(new URL('../..', import.meta.url));
const [given] = process.argv.slice(2);
const suite = resolve(given ?? '');
if (given === undefined || !existsSync(join(suite, 'test-engine/client/runner.mjs'))) {
  console.error('Usage: npm run test:conformance -- <folder of http-tests/cache-tests>');
  process.exit(2);
}
haveUndici();

const [originPort, gatewayPort] = [await freePort(), await freePort()];
const children = [
  start([join(suite, 'test-engine/server/server.mjs')], suite, {
    npm_config_protocol: 'http',
    npm_config_port: String(originPort),
    npm_config_pidfile: join(tmpdir(), `cache-tests-${process.pid}.pid`),
  }),
  start([join(root, 'dist-sample/main.js')], tmpdir(), {
    PORT: String(gatewayPort),
    HTTP_ADAPTER: process.env.HTTP_ADAPTER ?? 'express',
    GATEWAY_CONFORMANCE_URL: `http://localhost:${originPort}`,
    // The suite counts what reaches its server: a retry is nothing that a cache has done.
    GATEWAY_CONFORMANCE_RETRY: 'off',
  }),
];
try {
  await Promise.all([answering(originPort), answering(gatewayPort)]);
  const isGood = await run(`http://${HOST}:${gatewayPort}/gateway/conformance`);
  process.exitCode = isGood ? 0 : 1;
} finally {
  for (const child of children) child.kill('SIGKILL');
}

/** Prints what failed, and how much passed of what is required and of what is optimal. */
async function run(base) {
  const load = (file) => import(pathToFileURL(join(suite, file)).href);
  const { runTests, getResults } = await load('test-engine/client/runner.mjs');
  const { determineTestResult, resultTypes } = await load('test-engine/lib/results.mjs');
  const { default: suites } = await load('tests/index.mjs');
  await runTests(suites, false, base);
  const results = getResults();
  const passed = { required: 0, optimal: 0 };
  const total = { required: 0, optimal: 0 };
  for (const { id, kind = 'required', browser_only: isForBrowsers } of suites.flatMap(({ tests }) => tests)) {
    if (isForBrowsers || !(kind in total)) continue;
    const type = determineTestResult(suites, id, results);
    total[kind]++;
    if (type === resultTypes.pass) passed[kind]++;
    else console.log(`${kind} ${nameOf(type, resultTypes)} ${id}: ${[results[id]].flat().at(-1)}`);
  }
  for (const kind of ['required', 'optimal']) {
    console.log(`${kind}: ${passed[kind]} of ${total[kind]} (wanted: ${WANTED[kind]})`);
  }
  return passed.required >= WANTED.required && passed.optimal >= WANTED.optimal;
}

function nameOf(type, types) {
  return Object.keys(types).find((name) => types[name] === type);
}

function start(args, cwd, env) {
  return spawn(process.execPath, args, {
    cwd,
    env: { PATH: process.env.PATH, NO_COLOR: '1', ...env },
    stdio: 'ignore',
  });
}

async function freePort() {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function answering(port) {
  const end = Date.now() + READY_WITHIN_MS;
  while (!(await isAnswering(port))) {
    if (Date.now() > end) throw new Error(`Nobody answers on port ${port}`);
    await new Promise((done) => setTimeout(done, 200));
  }
}

async function isAnswering(port) {
  const socket = connect(port, 'localhost');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** The suite is fetched without its dependencies, of which its client needs one. */
function haveUndici() {
  const link = join(suite, 'node_modules/undici');
  if (existsSync(link)) return;
  mkdirSync(join(suite, 'node_modules'), { recursive: true });
  symlinkSync(join(root, 'node_modules/undici'), link, 'dir');
}
