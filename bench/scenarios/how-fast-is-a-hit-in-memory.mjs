import { contenders } from '../adapters/index.mjs';
import { compare, ratio, withRatio } from '../lib/compare.mjs';
import { oneAfterAnother } from '../lib/loops.mjs';
import { record } from '../lib/payload.mjs';
import { figure, table } from '../lib/report.mjs';

export const title = 'How fast is a hit in memory? 1,024 warm keys, read one after the other';
export const needsServer = true;

const FUNCTION = 'raw: async function over an expiring Map';
const PARSE = 'raw: Map of JSON, parsed';
const COLUMNS = [
  ['name', 'contender', 'text'],
  ['ns', 'ns'],
  ['cpuNs', 'CPU ns'],
  ['ratio', 'of the function', 'ratio'],
  ['gives', 'a hit gives', 'text'],
];
const KEYS = Array.from({ length: 1_024 }, (_, id) => `user:${id}:profile`);
const VALUES = {
  'an object of 200 B': (id) => record(200, id),
  'a text of 200 characters': (id) => `${id} `.padEnd(200, 'x'),
};

export async function run({ server, rounds = 9, sliceMs = 60, pick }) {
  const rows = {};
  const tables = [];
  for (const [what, valueOf] of Object.entries(VALUES)) {
    rows[what] = await hits(valueOf, { port: server.port, rounds, sliceMs, pick });
    await server.admin.flushall();
    tables.push(table(`A hit in memory: ${what}`, COLUMNS, rows[what]));
  }
  return { tables, rows, figures: figuresOf(rows) };
}

async function hits(valueOf, { port, rounds, sliceMs, pick }) {
  const ready = [];
  for (const { name, build } of pick(contenders('memory'))) {
    const api = await build({ port, maxEntries: 10_000 });
    await Promise.all(KEYS.map((key, id) => api.fill(key, valueOf(id))));
    ready.push({ name, api, run: oneAfterAnother(api.read, KEYS, api) });
  }
  const rows = await compare(ready, { rounds, sliceMs, warmupMs: 200 });
  const gifts = await Promise.all(ready.map(({ api }) => whatIsGiven(api)));
  for (const { api } of ready) await api.close();
  const described = rows.map((row, index) => ({ ...row, gives: gifts[index] }));
  return withRatio(described, FUNCTION, 'ns').sort((some, other) => some.ns - other.ns);
}

async function whatIsGiven({ read }) {
  const [some, other] = [await read(KEYS[1]), await read(KEYS[1])];
  if (typeof some === 'string') return 'text';
  if (some !== other) return 'a private copy';
  return Object.isFrozen(some) ? 'one frozen object' : 'one shared object';
}

function figuresOf({ 'an object of 200 B': objects, 'a text of 200 characters': texts }) {
  const nsOf = (rows, name) => rows.find((row) => row.name === name)?.ns ?? Number.NaN;
  const [frozen, copy] = ['nestjs-keep, frozen', 'nestjs-keep, copy'];
  return [
    figure('hit in memory, frozen', nsOf(objects, frozen), { atMost: 95, unit: ' ns' }),
    figure('hit in memory, text', nsOf(texts, copy), { atMost: 95, unit: ' ns' }),
    figure('hit in memory, frozen, of an async function over a map', ratio(objects, frozen, FUNCTION, 'ns'), {
      ...{ atMost: 1.35, unit: '×' },
    }),
    figure('hit in memory, copy, of JSON.parse', ratio(objects, copy, PARSE, 'ns'), { atMost: 1.1, unit: '×' }),
  ];
}
