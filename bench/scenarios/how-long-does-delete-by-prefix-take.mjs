import { performance } from 'node:perf_hooks';
import { contenders } from '../adapters/index.mjs';
import { record } from '../lib/payload.mjs';
import { figure, table } from '../lib/report.mjs';
import { usage, watchSlowLog } from '../lib/server.mjs';
import { median } from '../lib/statistics.mjs';

export const title = 'How long does a deletion by prefix take, and block? 10,000 of 200,000 keys';
export const needsServer = true;

const LIMIT = 'raw: ioredis';
const OURS = 'nestjs-keep';
const ALL = 200_000;
const MATCHING = 10_000;
const PREFIX = 'feed';
const COLUMNS = [
  ['name', 'contender', 'text'],
  ['ms', 'ms'],
  ['ratio', 'of SCAN + UNLINK', 'ratio'],
  ['longestMs', 'longest command, ms'],
  ['longest', 'which is', 'text'],
  ['commands', 'commands'],
  ['left', 'keys left'],
];

export async function run({ server, isQuick, rounds = 5, pick }) {
  const ready = [];
  for (const { name, build } of pick(contenders('server'))) {
    const api = await build({ port: server.port });
    if (api.deleteByPrefix === undefined) await api.close();
    else ready.push({ name, api, samples: [] });
  }
  for (let round = 0; round < (isQuick ? 1 : rounds); round++) {
    for (const { api, samples } of ready) samples.push(await deletion(server.admin, api));
  }
  for (const { api } of ready) await api.close();
  const rows = ready.map(({ name, samples }) => summary(name, samples));
  const limit = rows.find(({ name }) => name === LIMIT);
  const compared = rows.map((row) => ({ ...row, ratio: row.ms / limit.ms }));
  const ours = compared.find(({ name }) => name === OURS);
  return {
    tables: [table('Delete by prefix', COLUMNS, compared)],
    figures: [
      figure('delete by prefix, of SCAN + UNLINK', ours.ratio, { atMost: 1.2, unit: '×' }),
      figure('delete by prefix: longest command', ours.longestMs, { atMost: 3, unit: ' ms' }),
    ],
    rows: compared,
  };
}

async function deletion(admin, { nameOf, deleteByPrefix }) {
  await populate(admin, (id) => (id < MATCHING ? nameOf(PREFIX, id) : `other:${id}`));
  const longestSince = await watchSlowLog(admin);
  const before = await usage(admin);
  const startedAt = performance.now();
  await deleteByPrefix(PREFIX);
  const ms = performance.now() - startedAt;
  const after = await usage(admin);
  const { ms: longestMs, name: longest } = await longestSince();
  const left = (await admin.dbsize()) - (ALL - MATCHING);
  return { ms, longestMs, longest, commands: after.commands - before.commands, left };
}

async function populate(admin, nameOf) {
  await admin.flushall();
  const value = JSON.stringify(record(200));
  for (let at = 0; at < ALL; at += 1_000) {
    await admin.mset(Array.from({ length: 1_000 }, (_, index) => [nameOf(at + index), value]).flat());
  }
}

function summary(name, samples) {
  const middle = (key) => median(samples.map((sample) => sample[key]));
  const { longest } = samples.find(({ longestMs }) => longestMs === Math.max(...samples.map((each) => each.longestMs)));
  const keys = ['ms', 'longestMs', 'commands', 'left'];
  return { name, longest, ...Object.fromEntries(keys.map((key) => [key, middle(key)])) };
}
