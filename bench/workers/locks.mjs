import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { contenders } from '../adapters/index.mjs';
import { serve } from '../lib/worker.mjs';

const port = Number(process.argv[2]);
const open = new Map();
/** A clock that all processes of a machine share. */
const now = () => performance.timeOrigin + performance.now();

serve({
  async open({ name }) {
    const { build } = contenders('lock').find((contender) => contender.name === name);
    const api = await build({ port });
    open.set(name, api);
    await api.release(await api.acquire(`warm:${process.pid}`));
  },

  /** Callers that take one lock again and again; answers when each of them held it, and how long it had waited. */
  async contend({ name, key, callers, sectionMs, ms, startAt }) {
    const api = open.get(name);
    await sleep(startAt - Date.now());
    const endsAt = now() + ms;
    const holds = [];
    const caller = async () => {
      while (now() < endsAt) {
        const askedAt = now();
        const lock = await api.acquire(key);
        const from = now();
        await sleep(sectionMs);
        holds.push({ waitedMs: from - askedAt, from, to: now() });
        await api.release(lock);
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return holds;
  },
});
