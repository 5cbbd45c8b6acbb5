import { compare, ratio } from '../lib/compare.mjs';
import { fire } from '../lib/http-load.mjs';
import { figure, table } from '../lib/report.mjs';
import { startWorker } from '../lib/worker.mjs';

export const title = 'How fast is a cached route? Every request a hit, one process per application';
export const needsServer = true;

const RAW = 'raw: node:http';
const BARE = 'bare handler';
const OURS = { memory: 'nestjs-keep, memory', guarded: 'nestjs-keep, memory, guard', server: 'nestjs-keep, server' };
const PEER = { memory: '@nestjs/cache-manager, memory', server: '@nestjs/cache-manager, server' };
const IN_MEMORY = [RAW, BARE, OURS.memory, PEER.memory];
const COLUMNS = [
  ['name', 'application', 'text'],
  ['perSecond', 'requests/s'],
  ['cpuUs', 'CPU µs'],
  ['added', 'over the bare handler'],
];
const RUNS = ['express', 'fastify'].flatMap((platform) => [
  { platform, bytes: 2_048, names: [...IN_MEMORY, 'guard', OURS.guarded, OURS.server, PEER.server] },
  { platform, bytes: 20_480, names: IN_MEMORY },
]);
const TIMES = { express: 2, fastify: 3, server: 2.5 };
const PATHS = Array.from({ length: 64 }, (_, id) => `/pages/${id}`);

export async function run({ server, pick, isQuick = false, rounds = 7, sliceMs = 400 }) {
  const settings = { rounds, sliceMs: isQuick ? 150 : sliceMs, warmupMs: 0 };
  // Until the compiler is done, on a machine with neighbours too.
  const warmup = { ops: isQuick ? 5_000 : 30_000, maxMs: 10_000 };
  const [tables, figures, all] = [[], [], {}];
  for (const { platform, bytes, names } of RUNS) {
    const name = `${platform}, a page of ${bytes / 1_024} KB`;
    const picked = pick(names.map((each) => ({ name: each }))).map((each) => each.name);
    const wanted = names.filter((each) => each === BARE || picked.includes(each));
    const rows = await measured({ platform, bytes, wanted, serverPort: server.port, warmup }, settings);
    const bareUs = cpuOf(rows, BARE);
    all[name] = rows;
    tables.push(table(`A hit on ${name}`, COLUMNS, withAdded(rows, bareUs)));
    figures.push(...figuresOf(name, platform, rows));
  }
  return { tables, figures, rows: all };
}

async function measured({ platform, bytes, wanted, serverPort, warmup }, settings) {
  const apps = [];
  try {
    for (const name of wanted) apps.push(await open([platform, name, bytes, serverPort], name));
    for (const { load } of apps) await warm(load, warmup);
    return await compare(apps, settings);
  } finally {
    for (const { worker } of apps) await worker.stop();
  }
}

/** CPU time is that of the application: this process only asks. */
async function open(args, name) {
  const worker = startWorker('cached-route.mjs', args.map(String));
  const port = await worker.call('port');
  const load = (ms) => fire({ port, paths: PATHS, ms });
  const run = async (ms) => {
    const before = await worker.call('cpuNs');
    const { ops, ms: took } = await load(ms);
    return { ops, ms: took, cpuUs: ((await worker.call('cpuNs')) - before) / ops / 1e3 };
  };
  return { name, worker, load, run };
}

async function warm(load, { ops, maxMs }) {
  let done = 0;
  for (const endsAt = performance.now() + maxMs; done < ops && performance.now() < endsAt;) {
    done += (await load(250)).ops;
  }
}

const cpuOf = (rows, name) => rows.find((row) => row.name === name)?.cpuUs ?? Number.NaN;
const withAdded = (rows, bareUs) => rows.map((row) => ({ ...row, added: row.cpuUs - bareUs }));

function figuresOf(name, platform, rows) {
  const times = (tier, atLeast) =>
    figure(
      `hit from ${tier}, ${name}: CPU of @nestjs/cache-manager to ours`,
      ratio(rows, PEER[tier], OURS[tier], 'cpuUs'),
      {
        atLeast,
        unit: '×',
      },
    );
  const isWhole = rows.some((row) => row.name === OURS.server);
  const added = cpuOf(rows, OURS.guarded) - cpuOf(rows, BARE);
  return [
    times('memory', TIMES[platform]),
    ...(isWhole ? [times('server', TIMES.server)] : []),
    ...(isWhole && platform === 'fastify'
      ? [figure(`guard and cached route over the bare handler, ${name}`, added, { atMost: 6, unit: ' µs' })]
      : []),
  ];
}
