import { contenders } from '../adapters/index.mjs';
import { isHeartbeat } from '../adapters/nestjs-keep.mjs';
import { figure, table } from '../lib/report.mjs';
import { countTrips } from '../lib/server.mjs';
import { median } from '../lib/statistics.mjs';
import { startWorker } from '../lib/worker.mjs';

export const title =
  'How often does a cold key run its factory? 1,000 callers in 1, 4 and 8 processes, a factory of 50 ms';
export const needsServer = true;

const CALLERS = 1_000;
const FACTORY_MS = 50;
const COLUMNS = [
  ['name', 'contender', 'text'],
  ['factories', 'factory runs'],
  ['overMs', 'ms over the factory'],
  ['cpuMs', 'CPU ms'],
  ['trips', 'trips'],
  ['commands', 'commands', 'text'],
];

export async function run({ server, isQuick, rounds = 7, pick }) {
  const names = pick(contenders('tiered')).map(({ name }) => name);
  const workers = Array.from({ length: 8 }, () => startWorker('cold-key.mjs', [String(server.port)]));
  const [tables, figures, all] = [[], [], {}];
  try {
    for (const worker of workers) for (const name of names) await worker.call('open', { name });
    for (const processes of isQuick ? [1, 4] : [1, 4, 8]) {
      const rows = await contend(names, { workers: workers.slice(0, processes), port: server.port, rounds });
      all[processes] = rows;
      tables.push(table(`A cold key in ${processes} process${processes === 1 ? '' : 'es'}`, COLUMNS, rows));
      figures.push(...figuresOf(rows, processes));
    }
  } finally {
    for (const worker of workers) await worker.stop();
  }
  return { tables, figures, rows: all };
}

async function contend(names, { workers, port, rounds }) {
  const samples = new Map(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      const key = `cold:${name.replace(/\W/g, '')}:${workers.length}:${round}`;
      samples.get(name).push(await burst(name, key, { workers, port }));
    }
  }
  return names.map((name) => summary(name, samples.get(name)));
}

/** All callers at once, in processes that begin at the same moment. */
async function burst(name, key, { workers, port }) {
  const order = { name, key, callers: CALLERS / workers.length, factoryMs: FACTORY_MS, startAt: Date.now() + 50 };
  const act = () => Promise.all(workers.map((worker) => worker.call('burst', order)));
  const { result: answers, trips } = await countTrips(port, act, isHeartbeat);
  const sum = (field) => answers.reduce((total, answer) => total + answer[field], 0);
  if (sum('wrong') > 0) throw new Error(`${name} gave ${sum('wrong')} wrong answers`);
  const overMs = Math.max(...answers.map(({ ms }) => ms)) - FACTORY_MS;
  return { factories: sum('factories'), overMs, cpuMs: sum('cpuMs'), trips };
}

function summary(name, samples) {
  const middle = (valueOf) => median(samples.map(valueOf));
  const total = (trips) => Object.values(trips).reduce((sum, count) => sum + count, 0);
  return {
    name,
    factories: Math.max(...samples.map(({ factories }) => factories)),
    overMs: middle(({ overMs }) => overMs),
    leastOverMs: Math.min(...samples.map(({ overMs }) => overMs)),
    cpuMs: middle(({ cpuMs }) => cpuMs),
    trips: middle(({ trips }) => total(trips)),
    commands: Object.entries(samples.at(-1).trips)
      .map(([command, count]) => `${count} ${command}`)
      .join(', '),
  };
}

function figuresOf(rows, processes) {
  const { factories, overMs, trips } = rows.find(({ name }) => name === 'nestjs-keep');
  const what = `cold key in ${processes} process${processes === 1 ? '' : 'es'}`;
  return [
    figure(`${what}: factory runs`, factories, { atMost: 1 }),
    figure(`${what}: over the factory`, overMs, { atMost: 3, unit: ' ms' }),
    figure(`${what}: trips`, trips, { atMost: processes + 1 }),
  ];
}
