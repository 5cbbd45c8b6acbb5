import { contenders } from '../adapters/index.mjs';
import { compare, ratio, withRatio } from '../lib/compare.mjs';
import { manyAtOnce, oneAfterAnother } from '../lib/loops.mjs';
import { figure, table } from '../lib/report.mjs';
import { countTrips, usage } from '../lib/server.mjs';
import { median } from '../lib/statistics.mjs';
import { startWorker } from '../lib/worker.mjs';
import { isHeartbeat } from '../adapters/nestjs-keep.mjs';

export const title =
  'How fast is a rate limit? Calls that are admitted, calls that are not, and a guard in front of a route';
export const needsServer = true;

const RAW = 'raw: INCR in a script';
const OURS = 'nestjs-keep';
const BARE = 'no guard';
/** So high that nobody reaches it. */
const ENDLESS = 1_000_000_000;
const SUBJECTS = Array.from({ length: 4_096 }, (_, at) => `user:${at}`);
/** How much of the raw limit is to be reached, by callers at the same time. */
const TO_REACH = new Map([
  [1, 0.92],
  [64, 2],
  [512, 3.2],
]);
const ON_SERVER = [
  ['name', 'contender', 'text'],
  ['perSecond', 'calls/s'],
  ['ratio', 'of raw', 'ratio'],
  ['cpuUs', 'CPU µs'],
  ['serverUs', 'server CPU µs'],
  ['trips', 'trips per call'],
];
const IN_PROCESS = [
  ['name', 'contender', 'text'],
  ['ns', 'ns'],
  ['cpuNs', 'CPU ns'],
];
const ROUTES = [
  ['name', 'guard', 'text'],
  ['cpuUs', 'CPU µs per request'],
  ['addedUs', 'of these the guard'],
];
const BURSTS = [
  ['name', 'contender', 'text'],
  ['admitted', 'admitted of 100'],
];

export async function run({ server, isQuick, rounds = 9, sliceMs = 100, pick }) {
  const settings = { rounds, sliceMs };
  const { port } = server;
  const [tables, figures, rows] = [[], [], {}];
  const show = (name, columns, list) => {
    rows[name] = list;
    tables.push(table(name, columns, list));
  };
  const list = pick(contenders('limit'));
  for (const [callers, atLeast] of TO_REACH) {
    const own = await admitted(list, { server, callers, settings });
    show(`Admitted, on the server, ${callers} at a time`, ON_SERVER, withRatio(own.map(inUs), RAW));
    figures.push(figure(`admitted, ${callers} at a time, of raw`, ratio(own, OURS, RAW), { atLeast, unit: '×' }));
  }
  const refused = await oneSubject(list, { port, limit: 3 }, { settings, before: 8 });
  show('Refused, on the server, the same subject again and again', IN_PROCESS, refused);
  figures.push(figure('a refusal that is known', nsOf(refused), { atMost: 1_000, unit: ' ns' }));
  const memory = await oneSubject(pick(contenders('memoryLimit')), { limit: ENDLESS }, { settings, before: 900 });
  show('Admitted, in memory, after 900 calls in the window', IN_PROCESS, memory);
  figures.push(figure('admitted, in memory', nsOf(memory), { atMost: 150, unit: ' ns' }));
  for (const [where, options, atMost] of [
    ['memory', {}, 3],
    ['server', { port }, 5],
  ]) {
    const own = await routes(pick(contenders('limitedRoute')), options, settings);
    show(`A route of Fastify, 32 requests at a time, ${where} mode`, ROUTES, own);
    const { addedUs } = own.find(({ name }) => name === OURS);
    figures.push(figure(`what the guard adds, ${where} mode`, addedUs, { atMost, unit: ' µs' }));
  }
  const bursts = await burstsOf(list, { port, count: isQuick ? 3 : 20 });
  show('Four processes, 100 calls each at the same time, at a limit of 100', BURSTS, bursts);
  const { admitted: own } = bursts.find(({ name }) => name === OURS);
  figures.push(figure('admitted of 100, at most', own, { atMost: 100 }), figure('at least', own, { atLeast: 100 }));
  return { tables, figures, rows };
}

async function admitted(list, { server, callers, settings }) {
  const ready = await open(list, { port: server.port, limit: ENDLESS });
  const load = ({ name, api }) => ({
    name,
    run: manyAtOnce((sequence) => api.consume(SUBJECTS[sequence % SUBJECTS.length]), callers),
  });
  const rows = await compare(ready.map(load), { ...settings, probe: () => usage(server.admin) });
  for (const [at, { name, api }] of ready.entries()) {
    rows[at].trips = await tripsPerCall(name, api, server.port, callers);
    await api.close();
  }
  return rows;
}

async function tripsPerCall(_, { consume }, port, callers) {
  const act = () => Promise.all(SUBJECTS.slice(0, callers).map((subject) => consume(subject)));
  const { trips } = await countTrips(port, act, isHeartbeat);
  return Object.values(trips).reduce((sum, count) => sum + count, 0) / callers;
}

async function oneSubject(list, options, { settings, before }) {
  const ready = await open(list, options);
  for (const { api } of ready) for (let call = 0; call < before; call++) await api.consume('ann');
  const rows = await compare(
    ready.map(({ name, api }) => ({ name, run: oneAfterAnother(api.consume, ['ann']) })),
    settings,
  );
  for (const { api } of ready) await api.close();
  return rows;
}

async function routes(list, options, settings) {
  const ready = await open(list, options);
  const load = ({ name, api }) => ({ name, run: manyAtOnce(api.ask, 32) });
  const rows = await compare(ready.map(load), { ...settings, sliceMs: 2 * settings.sliceMs });
  for (const { api } of ready) await api.close();
  const bareOf = (name) =>
    rows.find((row) => row.name === `${name}, no guard`) ?? rows.find((row) => row.name === BARE);
  const added = ({ name, samples }) =>
    median(samples.map(({ cpuNs }, round) => cpuNs - bareOf(name).samples[round].cpuNs)) / 1e3;
  return rows.map((row) => ({ ...row, cpuUs: row.cpuNs / 1e3, addedUs: added(row) }));
}

async function burstsOf(list, { port, count }) {
  const workers = Array.from({ length: 4 }, () => startWorker('limits.mjs', [String(port)]));
  const rows = [];
  try {
    for (const { name } of list) {
      for (const worker of workers) await worker.call('open', { name, limit: 100 });
      const totals = [];
      for (let burst = 0; burst < count; burst++) {
        const order = { name, subject: `burst:${burst}`, calls: 100, startAt: Date.now() + 50 };
        const each = await Promise.all(workers.map((worker) => worker.call('burst', order)));
        totals.push(each.reduce((sum, own) => sum + own, 0));
      }
      const isExact = totals.every((total) => total === totals[0]);
      rows.push({ name, admitted: isExact ? totals[0] : Math.max(...totals) });
    }
  } finally {
    for (const worker of workers) await worker.stop();
  }
  return rows;
}

const open = (list, options) => Promise.all(list.map(async ({ name, build }) => ({ name, api: await build(options) })));

const nsOf = (rows) => rows.find(({ name }) => name === OURS).ns;
const inUs = (row) => ({ ...row, cpuUs: row.cpuNs / 1e3, serverUs: row.serverNs / 1e3 });
