import { contenders } from '../adapters/index.mjs';
import { compare, ratio, withRatio } from '../lib/compare.mjs';
import { manyAtOnce } from '../lib/loops.mjs';
import { record } from '../lib/payload.mjs';
import { figure, table } from '../lib/report.mjs';
import { usage } from '../lib/server.mjs';

export const title = 'How fast is a hit on the server? A value of 200 B, callers who ask again as soon as they have it';
export const needsServer = true;

const LIMIT = 'raw: ioredis';
const COLUMNS = [
  ['name', 'contender', 'text'],
  ['perSecond', 'reads/s'],
  ['ratio', 'of raw ioredis', 'ratio'],
  ['cpuUs', 'CPU µs'],
  ['p50', 'p50 ms'],
  ['p99', 'p99 ms'],
  ['commands', 'commands'],
  ['serverUs', 'server CPU µs'],
];
const RUNS = [
  { callers: 1, keys: 1_024, ours: 'nestjs-keep, getOrSet', atLeast: 0.93 },
  { callers: 64, keys: 1_024, ours: 'nestjs-keep, getOrSet', atLeast: 2.4 },
  { callers: 512, keys: 1_024, ours: 'nestjs-keep, getOrSet', atLeast: 3.8 },
  // Where callers share a read they share its result, too: those that parse it for each caller cannot come near.
  { callers: 512, keys: 1, ours: 'nestjs-keep, getOrSet frozen', atLeast: 25 },
];

export async function run({ server, rounds = 7, sliceMs = 150, pick }) {
  const ready = await filled(pick(contenders('server')), server.port);
  const probe = () => usage(server.admin);
  const [tables, figures, all] = [[], [], {}];
  for (const { callers, keys, ours, atLeast } of RUNS) {
    const name = `${callers === 1 ? 'one caller' : `${callers} callers`}, ${keys === 1 ? 'one hot key' : 'many keys'}`;
    const competing = ready.map(({ name, api, names }) => ({
      name,
      run: manyAtOnce((sequence) => api.read(names[sequence % keys]), callers),
    }));
    const rows = await compare(competing, { rounds, sliceMs, probe });
    all[name] = rows;
    tables.push(table(`A hit on the server: ${name}`, COLUMNS, withRatio(rows.map(inUs), LIMIT).sort(byThroughput)));
    figures.push(
      figure(`hit on the server, ${name}, of raw ioredis`, ratio(rows, ours, LIMIT), { atLeast, unit: '×' }),
    );
  }
  for (const { api } of ready) await api.close();
  return { tables, figures, rows: all };
}

async function filled(list, port) {
  const ready = [];
  for (const { name, build } of list) {
    const api = await build({ port });
    if (api.read === undefined) {
      await api.close();
      continue;
    }
    const names = Array.from({ length: 1_024 }, (_, id) => `${name.replace(/\W/g, '')}:${id}`);
    await Promise.all(names.map((key, id) => api.fill(key, record(200, id))));
    ready.push({ name, api, names });
  }
  return ready;
}

const inUs = (row) => ({ ...row, cpuUs: row.cpuNs / 1e3, serverUs: row.serverNs / 1e3 });
const byThroughput = (some, other) => other.perSecond - some.perSecond;
