import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { median, percentile } from './statistics.mjs';

/** Short enough that most batches are over before the machine takes the processor away. */
const BATCH = 256;

/**
 * One call after the other; between batches the event loop turns, as it does between the requests of a server.
 * `ns` is the median over batches, which neither a neighbour nor a garbage collection touches; CPU time has them all.
 *
 * @param args what the calls are made with, in turn: a power of two of them
 */
export function oneAfterAnother(op, args, { isSync = false } = {}) {
  const loop = loopOver(op, args, isSync);
  return async (sliceMs) => {
    const endsAt = performance.now() + sliceMs;
    const batches = [];
    let ms = 0;
    do {
      await nextTurn();
      const startedAt = performance.now();
      await loop(BATCH, batches.length * BATCH);
      batches.push(performance.now() - startedAt);
      ms += batches.at(-1);
    } while (performance.now() < endsAt);
    return { ops: batches.length * BATCH, ms, ns: (median(batches) * 1e6) / BATCH };
  };
}

/** Compiled anew for each contender: a call site that several share would be slow for all of them. */
function loopOver(op, args, isSync) {
  if (!Number.isInteger(Math.log2(args.length))) throw new RangeError('The number of arguments must be a power of two');
  const [asynchronous, wait] = isSync ? ['', ''] : ['async', 'await'];
  const body = `return ${asynchronous} function (count, from) {
    let last;
    for (let i = from; i < from + count; i++) last = ${wait} op(args[i & (args.length - 1)]);
    return last;
  }`;
  return new Function('op', 'args', body)(op, args);
}

/** `callers` callers at the same time, each asking again as soon as it has its answer. */
export function manyAtOnce(op, callers) {
  let sequence = 0;
  return async (sliceMs) => {
    const startedAt = performance.now();
    const latencies = [];
    const caller = async () => {
      for (let askedAt = startedAt; askedAt - startedAt < sliceMs;) {
        await op(sequence++);
        const answeredAt = performance.now();
        latencies.push(answeredAt - askedAt);
        askedAt = answeredAt;
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    const ms = performance.now() - startedAt;
    return { ops: latencies.length, ms, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
  };
}
