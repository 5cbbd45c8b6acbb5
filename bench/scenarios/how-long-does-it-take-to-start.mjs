import { fork } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { table } from '../lib/report.mjs';
import { median } from '../lib/statistics.mjs';

export const title = 'How long does it take to start? A Nest application, from its process to listening';
export const needsServer = true;

const WORKER = fileURLToPath(new URL('../workers/cold-start.mjs', import.meta.url));
const SETS = [
  'nothing',
  'ioredis',
  'cache-manager',
  'bentocache',
  'nestjs-keep in memory',
  'nestjs-keep with a server',
];
const COLUMNS = [
  ['name', 'with', 'text'],
  ['ms', 'ms to listening'],
  ['cpuMs', 'CPU ms'],
  ['addedCpuMs', 'CPU ms over nothing'],
  ['rssMb', 'MB resident'],
  ['addedMb', 'MB over nothing'],
];

export async function run({ server, rounds = 7, pick }) {
  const samples = new Map(SETS.map((set) => [set, []]));
  for (let round = 0; round < rounds; round++) {
    for (const set of SETS) samples.get(set).push(await start(set, server.port));
  }
  const rows = SETS.map((name) => summary(name, samples.get(name)));
  const [bare] = rows;
  const compared = rows.map((row) => ({
    ...row,
    addedCpuMs: row.cpuMs - bare.cpuMs,
    addedMb: row.rssMb - bare.rssMb,
  }));
  const shown = [bare.name, ...pick(SETS.map((name) => ({ name }))).map(({ name }) => name)];
  const table_ = table(
    'Cold start',
    COLUMNS,
    compared.filter(({ name }) => shown.includes(name)),
  );
  return { tables: [table_], figures: [], rows: compared };
}

async function start(set, port) {
  const startedAt = performance.now();
  const child = fork(WORKER, [set, String(port)], { execArgv: [] });
  const exited = once(child, 'exit');
  const [{ cpuUs, rss }] = await once(child, 'message');
  const ms = performance.now() - startedAt;
  child.kill('SIGKILL');
  await exited;
  return { ms, cpuMs: cpuUs / 1e3, rssMb: rss / 2 ** 20 };
}

function summary(name, samples) {
  const keys = Object.keys(samples[0]);
  return { name, ...Object.fromEntries(keys.map((key) => [key, median(samples.map((sample) => sample[key]))])) };
}
