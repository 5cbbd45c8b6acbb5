import process from 'node:process';
import { median } from './statistics.mjs';

/**
 * Until the compiler is through with all the layers of a call to a server, some hundred thousand calls later. Who measures
 * sooner measures how much code there is, of which a service that runs for hours knows nothing.
 */
const WARM_MS = 2_000;

/**
 * Runs all contenders in every round, each round in another order, so that a busy neighbour hits all of them alike.
 *
 * @param contenders `[{ name, run }]`; `run(sliceMs)` answers `{ ops, ms, ...others }`
 * @param settings `probe()` is asked before and after each slice; its numbers are given per operation
 * @returns one row per contender: the median of every number over the rounds, and `samples`, the rounds themselves
 */
export async function compare(contenders, { rounds, sliceMs, warmupMs = WARM_MS, probe }) {
  const rows = contenders.map(({ name }) => ({ name, samples: [] }));
  const running = contenders.map((contender, index) => ({ ...contender, row: rows[index] }));
  for (const { run, row } of running) await attempt(row, () => run(warmupMs));
  for (let round = 0; round < rounds; round++) {
    for (const { run, row } of turned(running, round)) {
      const sample = await attempt(row, () => measured(() => run(sliceMs), probe));
      row.samples.push(sample ?? {});
    }
  }
  return rows.map((row) => ({ ...row, ...medians(row.samples) }));
}

/** How a row stands to another one: the ratio is taken within each round, then the median of all rounds. */
export function ratio(rows, name, limitName, key = 'perSecond') {
  const [row, limit] = [name, limitName].map((wanted) => rows.find((each) => each.name === wanted));
  if (row === undefined || limit === undefined) return Number.NaN;
  return median(row.samples.map((sample, round) => sample[key] / limit.samples[round][key]));
}

/** Adds the column `ratio`, against one row. */
export const withRatio = (rows, limitName, key = 'perSecond') =>
  rows.map((row) => ({ ...row, ratio: ratio(rows, row.name, limitName, key) }));

/** A contender that fails is shown as such; the others go on. */
async function attempt(row, act) {
  if (row.error !== undefined) return undefined;
  try {
    return await act();
  } catch (error) {
    row.error = error.message.split('\n')[0];
    return undefined;
  }
}

async function measured(run, probe) {
  globalThis.gc?.({ type: 'minor' });
  const before = await probe?.();
  const cpuBefore = process.cpuUsage();
  const { ops, ms, ...others } = await run();
  const cpu = process.cpuUsage(cpuBefore);
  const after = await probe?.();
  const sample = { perSecond: (ops / ms) * 1e3, cpuNs: ((cpu.user + cpu.system) * 1e3) / ops, ...others };
  for (const key in after) sample[key] = (after[key] - before[key]) / ops;
  return sample;
}

function medians(samples) {
  const keys = new Set(samples.flatMap((sample) => Object.keys(sample)));
  return Object.fromEntries([...keys].map((key) => [key, median(samples.map((sample) => sample[key]))]));
}

const turned = (list, by) => [...list.slice(by % list.length), ...list.slice(0, by % list.length)];
