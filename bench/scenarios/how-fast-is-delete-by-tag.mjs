import { performance } from 'node:perf_hooks';
import { contenders } from '../adapters/index.mjs';
import { record } from '../lib/payload.mjs';
import { figure, table } from '../lib/report.mjs';
import { countTrips } from '../lib/server.mjs';
import { isHeartbeat } from '../adapters/nestjs-keep.mjs';
import { median } from '../lib/statistics.mjs';

export const title = 'How fast is a deletion by tag? 100 and 10,000 values that carry it';
export const needsServer = true;

const COLUMNS = [
  ['name', 'contender', 'text'],
  ['few', 'ms, 100 values'],
  ['many', 'ms, 10,000 values'],
  ['trips', 'trips, 10,000'],
  ['left', 'values left'],
];

export async function run({ server, isQuick, rounds = 5, pick }) {
  const rows = [];
  for (const { name, build } of pick(contenders('tagged'))) {
    const api = await build({ port: server.port });
    const few = await deletions(api, { values: 100, rounds: rounds * 3, server });
    const many = await deletions(api, { values: 10_000, rounds: isQuick ? 1 : rounds, server });
    rows.push({ name, few: few.ms, many: many.ms, trips: many.trips, left: many.left });
    await api.close();
  }
  const { many } = rows.find(({ name }) => name === 'nestjs-keep');
  return {
    tables: [table('Delete by tag', COLUMNS, rows)],
    figures: [figure('delete by tag, 10,000 values', many, { atMost: 0.3, unit: ' ms' })],
    rows,
  };
}

/** The median time of a deletion; filled anew each time. */
async function deletions(api, { values, rounds, server }) {
  const times = [];
  let result = {};
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < values; at += 500) {
      const ids = Array.from({ length: Math.min(500, values - at) }, (_, index) => at + index);
      await Promise.all(ids.map((id) => api.fill(`tagged:${id}`, record(200, id))));
    }
    result = await countTrips(server.port, () => timed(() => api.deleteByTag()), isHeartbeat);
    times.push(result.result);
  }
  const trips = Object.values(result.trips).reduce((sum, count) => sum + count, 0);
  return { ms: median(times), trips, left: await left(api, Math.min(values, 200)) };
}

async function timed(act) {
  const startedAt = performance.now();
  await act();
  return performance.now() - startedAt;
}

/** How many of the values are still served. */
async function left({ read }, values) {
  let served = 0;
  for (let id = 0; id < values; id++) {
    // Those that read through run a factory that is not there: that is a miss.
    const value = await Promise.resolve(read(`tagged:${id}`)).catch(() => undefined);
    if (value !== undefined && value !== null) served++;
  }
  return served;
}
