import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { contenders } from '../adapters/index.mjs';
import { record } from '../lib/payload.mjs';
import { serve } from '../lib/worker.mjs';

const AT_ONCE = 100;
/** After so long nothing that belongs to the filling alone is kept. */
const SETTLED_MS = 1_500;

serve({
  async measure({ name, port, entries }) {
    const { build } = contenders('memory').find((contender) => contender.name === name);
    const api = await build({ port, maxEntries: entries });
    await fill(api, 'warm', AT_ONCE);
    const before = await usedBytes();
    const startedAt = performance.now();
    await fill(api, 'user', entries - AT_ONCE);
    const ms = performance.now() - startedAt;
    const bytes = ((await usedBytes()) - before) / (entries - AT_ONCE);
    for (const id of [0, entries - AT_ONCE - 1]) {
      if ((await api.read(`user:${id}:profile`))?.name !== `user-${id}`) throw new Error('it did not keep everything');
    }
    return { bytes, fillUs: (ms * 1e3) / entries, estimated: api.bytes?.() / entries };
  },
});

async function fill({ fill: put }, prefix, count) {
  for (let at = 0; at < count; at += AT_ONCE) {
    const ids = Array.from({ length: AT_ONCE }, (_, index) => at + index);
    // Parsed, as a value that came over the network is.
    await Promise.all(ids.map((id) => put(`${prefix}:${id}:profile`, JSON.parse(JSON.stringify(record(200, id))))));
  }
}

async function usedBytes() {
  await sleep(SETTLED_MS);
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
