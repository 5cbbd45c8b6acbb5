import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { contenders } from '../adapters/index.mjs';
import { serve } from '../lib/worker.mjs';

const port = Number(process.argv[2]);
const open = new Map();

serve({
  async open({ name, limit }) {
    const { build } = contenders('limit').find((contender) => contender.name === name);
    const api = await build({ port, limit });
    open.set(name, api);
    await api.consume(`warm:${process.pid}`);
  },

  /** Calls of one subject, all at the same time; how many of them were admitted. */
  async burst({ name, subject, calls, startAt }) {
    const { consume } = open.get(name);
    await sleep(startAt - Date.now());
    const admitted = await Promise.all(Array.from({ length: calls }, () => consume(subject)));
    return admitted.filter(Boolean).length;
  },
});
