import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { contenders } from '../adapters/index.mjs';
import { compare, ratio } from '../lib/compare.mjs';
import { oneAfterAnother } from '../lib/loops.mjs';
import { figure, table } from '../lib/report.mjs';
import { median } from '../lib/statistics.mjs';

export const title = 'What does a circuit breaker cost? A call, a refusal, and a failure after a busy time';

const TIMEOUT_MS = 3_000;
const BUSY_CALLS = 100_000;
const FAILURES = 50;
const LIMIT = 'raw opossum';
const OURS = 'nestjs-keep, fire';
const COLUMNS = [
  ['name', 'breaker', 'text'],
  ['ns', 'ns'],
  ['cpuNs', 'CPU ns'],
];
const FAILURE_COLUMNS = [
  ['name', 'breaker', 'text'],
  ['failureUs', 'µs per failing call'],
  ['worstMs', 'slowest ms'],
  ['stallMs', 'longest stall of the loop, ms'],
];

const answer = async () => 42;
const down = new Error('down');

export async function run({ rounds = 9, sliceMs = 60, pick }) {
  const breakers = pick(contenders('breaker'));
  const bare = { name: 'no breaker', run: oneAfterAnother(answer, [0]) };
  const settings = { rounds, sliceMs, warmupMs: 200 };
  const plain = await compare([bare, ...calls(breakers, {})], settings);
  const timed = await compare(calls(breakers, { timeoutMs: TIMEOUT_MS }), settings);
  const refused = await compare(calls(breakers, {}, refusal), settings);
  const failed = [];
  for (const breaker of breakers) failed.push(await failuresAfterBusyTime(breaker));
  return {
    tables: [
      table('A call through a closed circuit, without a deadline', COLUMNS, plain),
      table(`The same with a deadline of ${TIMEOUT_MS} ms`, COLUMNS, timed),
      table('A refusal', COLUMNS, refused),
      table(`A failure when the window holds ${BUSY_CALLS} calls`, FAILURE_COLUMNS, failed),
    ],
    rows: { plain, timed, refused, failed },
    figures: [
      figure('fire over opossum, with a deadline', ratio(timed, OURS, LIMIT, 'ns'), { atMost: 1.05, unit: '×' }),
      figure('fire over opossum, without', ratio(plain, OURS, LIMIT, 'ns'), { atMost: 1.05, unit: '×' }),
      figure('a failing call in a busy window', failed.find(({ name }) => name === OURS).failureUs, {
        ...{ atMost: 10, unit: ' µs' },
      }),
    ],
  };
}

const throughClosed = ({ call }) => call;

const refusal = ({ call, open }) => {
  open();
  return () => call().then(admitted, () => 1);
};

const admitted = () => {
  throw new Error('An open circuit has let a call through');
};

const calls = (breakers, settings, use = throughClosed) =>
  breakers.map(({ name, build }) => ({ name, run: oneAfterAnother(use(build(answer, settings)), [0]) }));

/** Opossum's snapshots, once a second, and its percentiles are as expensive as the window is full. */
async function failuresAfterBusyTime({ name, build }) {
  let isDown = false;
  const circuit = build(() => (isDown ? Promise.reject(down) : Promise.resolve(42)), { isTolerant: true });
  for (let count = 0; count < BUSY_CALLS; count++) await circuit.call();
  const stallMs = await longestStall(1_200);
  isDown = true;
  const times = [];
  for (let count = 0; count < FAILURES; count++) times.push(await timeOf(() => circuit.call().catch(() => 1)));
  circuit.close();
  return { name, failureUs: median(times) * 1e3, worstMs: Math.max(...times), stallMs };
}

async function timeOf(act) {
  const startedAt = performance.now();
  await act();
  return performance.now() - startedAt;
}

async function longestStall(ms) {
  const endsAt = performance.now() + ms;
  let longest = 0;
  while (performance.now() < endsAt) longest = Math.max(longest, await timeOf(nextTurn));
  return longest;
}
