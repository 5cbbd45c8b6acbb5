import { contenders } from '../adapters/index.mjs';
import { isHeartbeat } from '../adapters/nestjs-keep.mjs';
import { compare, ratio, withRatio } from '../lib/compare.mjs';
import { manyAtOnce } from '../lib/loops.mjs';
import { figure, table } from '../lib/report.mjs';
import { countTrips, usage } from '../lib/server.mjs';
import { median, percentile } from '../lib/statistics.mjs';
import { startWorker } from '../lib/worker.mjs';

export const title = 'How fast is a lock? Nobody in the way; then 50 callers of one lock, who hold it for 2 ms each';
export const needsServer = true;

const LIMIT = 'raw: SET NX and a script';
const OURS = 'nestjs-keep';
const CALLERS = 50;
const SECTION_MS = 2;
const FREE = [
  ['name', 'contender', 'text'],
  ['perSecond', 'acquired and released/s'],
  ['ratio', 'of raw', 'ratio'],
  ['cpuUs', 'CPU µs'],
  ['p50', 'p50 ms'],
  ['p99', 'p99 ms'],
  ['serverUs', 'server CPU µs'],
];
const CONTENDED = [
  ['name', 'contender', 'text'],
  ['heldShare', 'time it was held', 'ratio'],
  ['handOffMs', 'hand-off ms'],
  ['trips', 'trips per lock'],
  ['waitMs', 'median wait ms'],
  ['longestWait', 'longest wait of callers × section', 'ratio'],
  ['overlaps', 'overlaps'],
];

export async function run({ server, isQuick, rounds = 5, sliceMs = 200, pick }) {
  const list = pick(contenders('lock'));
  const [tables, figures, all] = [[], [], {}];
  for (const callers of [1, 64]) {
    const rows = await uncontended(list, { server, callers, rounds, sliceMs });
    all[`free ${callers}`] = rows;
    tables.push(table(`A free lock, ${callers} at a time`, FREE, withRatio(rows.map(inUs), LIMIT)));
    const name = `free lock, ${callers} at a time, of SET NX and a script`;
    figures.push(figure(name, ratio(rows, OURS, LIMIT), { atLeast: 0.95, unit: '×' }));
  }
  const workers = Array.from({ length: 4 }, () => startWorker('locks.mjs', [String(server.port)]));
  try {
    for (const worker of workers) for (const { name } of list) await worker.call('open', { name });
    for (const processes of [1, 4]) {
      const settings = { server, workers: workers.slice(0, processes), rounds: isQuick ? 1 : 3 };
      const rows = await contended(list, settings);
      all[`contended ${processes}`] = rows;
      tables.push(table(`${CALLERS} callers of one lock, ${processes} process(es)`, CONTENDED, rows));
      figures.push(...figuresOf(rows, processes));
    }
  } finally {
    for (const worker of workers) await worker.stop();
  }
  return { tables, figures, rows: all };
}

async function uncontended(list, { server, callers, rounds, sliceMs }) {
  const ready = await Promise.all(list.map(async ({ name, build }) => ({ name, api: await build(server) })));
  const competing = ready.map(({ name, api }, index) => ({
    name,
    run: manyAtOnce(async (sequence) => api.release(await api.acquire(`free:${index}:${sequence & 4095}`)), callers),
  }));
  const rows = await compare(competing, { rounds, sliceMs, probe: () => usage(server.admin) });
  for (const { api } of ready) await api.close();
  return rows;
}

async function contended(list, { server, workers, rounds }) {
  const samples = new Map(list.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { name }] of list.entries()) {
      const key = `hot:${workers.length}:${round}:${index}`;
      samples.get(name).push(await contend(name, key, { server, workers }));
    }
  }
  return list.map(({ name }) => ({ name, ...medians(samples.get(name)) }));
}

async function contend(name, key, { server, workers }) {
  const order = { name, key, sectionMs: SECTION_MS, ms: 1_000, startAt: Date.now() + 50 };
  const callers = (index) => Math.floor((CALLERS + index) / workers.length);
  const act = async (more) => {
    const orders = workers.map((worker, i) => worker.call('contend', { ...order, ...more, callers: callers(i) }));
    return (await Promise.all(orders)).flat();
  };
  const timed = await act();
  // Counted on their own: MONITOR wakes this process for each command, on the processor that a hand-off waits for.
  const counted = await countTrips(server.port, () => act({ ms: 500, startAt: Date.now() + 50 }), isHeartbeat);
  const holds = timed.sort((some, other) => some.from - other.from);
  const gaps = holds.slice(1).map(({ from }, index) => from - holds[index].to);
  const sections = median(holds.map(({ from, to }) => to - from));
  const waits = holds.map(({ waitedMs }) => waitedMs);
  return {
    heldShare: (sections * (holds.length - 1)) / (holds.at(-1).from - holds[0].from),
    handOffMs: percentile(gaps, 0.5),
    trips: Object.values(counted.trips).reduce((sum, count) => sum + count, 0) / counted.result.length,
    waitMs: percentile(waits, 0.5),
    longestWait: Math.max(...waits) / (CALLERS * sections),
    overlaps: gaps.filter((gap) => gap < -0.5).length,
  };
}

const medians = (samples) =>
  Object.fromEntries(Object.keys(samples[0]).map((key) => [key, median(samples.map((sample) => sample[key]))]));

function figuresOf(rows, processes) {
  const ours = rows.find(({ name }) => name === OURS) ?? {};
  const where = `contended lock, ${processes} process(es)`;
  return [
    figure(`${where}, time it was held`, ours.heldShare, { atLeast: 0.9, unit: '×' }),
    figure(`${where}, trips per lock`, ours.trips, { atMost: 2.2 }),
    figure(`${where}, longest wait of callers × section`, ours.longestWait, { atMost: 1.6, unit: '×' }),
  ];
}

const inUs = (row) => ({ ...row, cpuUs: row.cpuNs / 1e3, serverUs: row.serverNs / 1e3 });
