import { contenders } from '../adapters/index.mjs';
import { compare, ratio, withRatio } from '../lib/compare.mjs';
import { manyAtOnce } from '../lib/loops.mjs';
import { record } from '../lib/payload.mjs';
import { figure, table } from '../lib/report.mjs';
import { usage } from '../lib/server.mjs';

export const title = 'How fast are writes? One value of 200 B per call, and 100 per call';
export const needsServer = true;

const LIMIT = 'raw: ioredis';
const OURS = 'nestjs-keep';
const COLUMNS = [
  ['name', 'contender', 'text'],
  ['perSecond', 'calls/s'],
  ['ratio', 'of raw ioredis', 'ratio'],
  ['cpuUs', 'CPU µs'],
  ['p99', 'p99 ms'],
  ['commands', 'commands'],
  ['serverUs', 'server CPU µs'],
];
const KEYS = Array.from({ length: 4_000 }, (_, id) => `write:${id}`);
const VALUE = record(200);
const HUNDREDS = Array.from({ length: 40 }, (_, at) => KEYS.slice(at * 100, at * 100 + 100).map((key) => [key, VALUE]));

const RUNS = [
  {
    title: 'set by 64 callers',
    callers: 64,
    atLeast: 1.8,
    callOf: ({ write }) => write && ((sequence) => write(KEYS[sequence % KEYS.length], VALUE)),
  },
  {
    title: '100 values per call, 4 callers',
    callers: 4,
    atLeast: 2.5,
    callOf: ({ writeMany }) => writeMany && ((sequence) => writeMany(HUNDREDS[sequence % HUNDREDS.length])),
  },
];

export async function run({ server, rounds = 7, sliceMs = 150, pick }) {
  const ready = await writers(pick(contenders('server')), server.port);
  const [tables, figures, all] = [[], [], {}];
  for (const { title: name, callers, atLeast, callOf } of RUNS) {
    const competing = ready.flatMap(({ name: contender, api }) => {
      const call = callOf(api);
      return call === undefined ? [] : [{ name: contender, run: manyAtOnce(call, callers) }];
    });
    const rows = await compare(competing, { rounds, sliceMs, probe: () => usage(server.admin) });
    all[name] = rows;
    tables.push(table(`Writes: ${name}`, COLUMNS, withRatio(rows.map(inUs), LIMIT)));
    figures.push(figure(`${name}, of raw ioredis`, ratio(rows, OURS, LIMIT), { atLeast, unit: '×' }));
  }
  for (const { api } of ready) await api.close();
  return { tables, figures, rows: all };
}

/** Those that only read are closed: whoever listens to notices would do a part of the work of each write. */
async function writers(list, port) {
  const ready = [];
  for (const { name, build } of list) {
    const api = await build({ port });
    if (api.write === undefined && api.writeMany === undefined) await api.close();
    else ready.push({ name, api });
  }
  return ready;
}

const inUs = (row) => ({ ...row, cpuUs: row.cpuNs / 1e3, serverUs: row.serverNs / 1e3 });
