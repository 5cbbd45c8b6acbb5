import { contenders } from '../adapters/index.mjs';
import { figure, table } from '../lib/report.mjs';
import { startWorker } from '../lib/worker.mjs';

export const title = 'How much memory does an entry take? 100,000 objects of 200 B of JSON';
export const needsServer = true;

const ENTRIES = 100_000;
const LIMIT = 'lru-cache';
/** The same store under another way of reading it. */
const SAME = ['raw: async function over an expiring Map', 'lru-cache fetch()', 'nestjs-keep, frozen'];
const COLUMNS = [
  ['name', 'contender', 'text'],
  ['bytes', 'bytes per entry'],
  ['ratio', 'of lru-cache', 'ratio'],
  ['estimated', 'its own estimate'],
  ['fillUs', 'µs to fill one'],
];

export async function run({ server, pick }) {
  const names = pick(contenders('memory'))
    .map(({ name }) => name)
    .filter((name) => name === LIMIT || !SAME.includes(name));
  const rows = [];
  for (const name of names) rows.push({ name, ...(await measured(name, server.port)) });
  const limit = rows.find(({ name }) => name === LIMIT);
  const compared = rows.map((row) => ({ ...row, ratio: row.bytes / (limit?.bytes ?? Number.NaN) }));
  const ours = compared.find(({ name }) => name === 'nestjs-keep, copy');
  return {
    tables: [table('Memory per entry', COLUMNS, compared)],
    figures: [figure('memory per entry, of lru-cache', ours.ratio, { atMost: 1.3, unit: '×' })],
    rows: compared,
  };
}

async function measured(name, port) {
  const worker = startWorker('memory.mjs', [], ['--expose-gc', '--max-old-space-size=4096']);
  try {
    return await worker.call('measure', { name, port, entries: ENTRIES });
  } catch (error) {
    return { error: error.message };
  } finally {
    await worker.stop();
  }
}
