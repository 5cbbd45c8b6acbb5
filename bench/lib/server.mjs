import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findServer } from '../../test/support/find-server.mjs';

export const HOST = '127.0.0.1';

/** Commands of the benchmark itself. */
const OWN = /^(info|config|slowlog|hello|client|ping|monitor|flushall|command|select|subscribe|dbsize)/;
/** What is slower than this is in the slow log, in microseconds. */
const SLOW_US = 200;

/** A client as the peers and the raw limits get it: what ioredis does by default, on the older protocol that all speak. */
export const connect = (port, options) => new Redis({ host: HOST, port, protocol: 2, ...options });

export async function freePort() {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A server of our own, without persistence; it ends with the run. */
export async function startServer() {
  const port = await freePort();
  const options = { port, bind: HOST, save: '', appendonly: 'no', loglevel: 'warning', 'slowlog-max-len': 4096 };
  const args = Object.entries({ ...options, 'slowlog-log-slower-than': SLOW_US });
  const child = spawn(
    findServer(),
    args.flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: 'ignore' },
  );
  const end = () => child.kill();
  process.once('exit', end);
  const admin = connect(port, { retryStrategy: () => 50, maxRetriesPerRequest: null });
  admin.on('error', () => undefined);
  const [, version] = /redis_version:(\S+)/.exec(await admin.info('server'));
  return {
    port,
    admin,
    version,
    async stop() {
      admin.disconnect();
      process.off('exit', end);
      end();
      await once(child, 'exit');
    },
  };
}

/** How many commands the server has run so far, those inside of scripts included, and its CPU time. */
export async function usage(admin) {
  const info = await admin.info('everything');
  const field = (name) => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? 0);
  const commands = [...info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].filter(([, name]) => !OWN.test(name));
  return {
    commands: commands.reduce((sum, [, , calls]) => sum + Number(calls), 0),
    serverNs: (field('used_cpu_user') + field('used_cpu_sys')) * 1e9,
  };
}

/** Forgets the slow log; the result tells the longest command since then, in milliseconds, and its name. */
export async function watchSlowLog(admin) {
  await admin.slowlog('RESET');
  return async () => {
    const entries = await admin.slowlog('GET', 4096);
    const others = entries.filter(([, , , [name]]) => !OWN.test(name.toLowerCase()));
    const [longest] = others.sort(([, , some], [, , other]) => other - some);
    return longest === undefined
      ? { ms: SLOW_US / 1e3, name: 'none in the log' }
      : { ms: longest[2] / 1e3, name: longest[3][0] };
  };
}

/** A line of MONITOR: time, database and client (or `lua`), the command and its arguments. */
const MONITORED = /^\+[\d.]+ \[\d+ (\S+)\] "([^"]+)"(.*)$/;

/**
 * Counts trips while `act` runs: commands that clients sent, those inside of scripts not included.
 * @param isBackground whether a command is none of the caller's doing
 */
export async function countTrips(port, act, isBackground = () => false) {
  const socket = createConnection(port, HOST);
  const lines = createInterface(socket);
  const trips = {};
  socket.write('MONITOR\r\n');
  await once(lines, 'line');
  lines.on('line', (line) => {
    const [, source, name, rest] = MONITORED.exec(line) ?? [];
    const command = name?.toLowerCase();
    if (command === undefined || source === 'lua' || OWN.test(command) || isBackground(command, rest)) return;
    trips[command] = (trips[command] ?? 0) + 1;
  });
  try {
    const result = await act();
    // The server reports a command before it answers, but over another connection.
    await sleep(20);
    return { result, trips };
  } finally {
    socket.destroy();
  }
}
