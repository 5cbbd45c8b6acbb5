import { contenders } from '../adapters/index.mjs';
import { isHeartbeat } from '../adapters/nestjs-keep.mjs';
import { compare, ratio } from '../lib/compare.mjs';
import { manyAtOnce } from '../lib/loops.mjs';
import { record } from '../lib/payload.mjs';
import { figure, table } from '../lib/report.mjs';
import { countTrips } from '../lib/server.mjs';

export const title = 'What does a tag cost a read? Values on the server, with and without a tag';
export const needsServer = true;

const COLUMNS = [
  ['name', 'contender', 'text'],
  ['perSecond', 'tagged reads/s'],
  ['cpuUs', 'CPU µs'],
  ['costs', 'time of an untagged read', 'ratio'],
  ['trips', 'trips'],
];
const CALLERS = 16;
const READS = 200;
const KEYS = Array.from({ length: 256 }, (_, id) => `:${id}`);

export async function run({ server, rounds = 7, sliceMs = 150, pick }) {
  const rows = [];
  for (const { name, build } of pick(contenders('tagged'))) {
    const api = await build({ port: server.port });
    if (api.fillUntagged !== undefined) rows.push(await reads(name, api, { port: server.port, rounds, sliceMs }));
    await api.close();
    await server.admin.flushall();
  }
  const { costs, trips } = rows.find(({ name }) => name === 'nestjs-keep');
  return {
    tables: [table(`Tagged reads by ${CALLERS} callers`, COLUMNS, rows)],
    figures: [
      figure('tagged read: trips', trips, { atMost: 1 }),
      figure('tagged read, of an untagged one', costs, { atMost: 1.2, unit: '×' }),
    ],
    rows,
  };
}

async function reads(name, api, { port, rounds, sliceMs }) {
  const { fill, fillUntagged, read, readUntagged = read } = api;
  await Promise.all(
    KEYS.flatMap((key, id) => [fill(`t${key}`, record(200, id)), fillUntagged(`u${key}`, record(200, id))]),
  );
  const loop = (call, prefix) => manyAtOnce((sequence) => call(prefix + KEYS[sequence % KEYS.length]), CALLERS);
  const contending = [
    { name: 'tagged', run: loop(read, 't') },
    { name: 'untagged', run: loop(readUntagged, 'u') },
  ];
  const rows = await compare(contending, { rounds, sliceMs });
  const { trips } = await countTrips(port, () => inTurn(read), isHeartbeat);
  return {
    name,
    perSecond: rows[0].perSecond,
    cpuUs: rows[0].cpuNs / 1e3,
    costs: ratio(rows, 'untagged', 'tagged'),
    trips: Object.values(trips).reduce((sum, count) => sum + count, 0) / READS,
  };
}

async function inTurn(read) {
  for (let sequence = 0; sequence < READS; sequence++) await read(`t${KEYS[sequence % KEYS.length]}`);
}
