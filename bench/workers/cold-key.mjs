import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { contenders } from '../adapters/index.mjs';
import { serve } from '../lib/worker.mjs';

const port = Number(process.argv[2]);
const VALUE = { id: 1, name: 'loaded', list: [1, 2, 3] };
const open = new Map();

serve({
  /** Builds a contender, and has it load something: connections are open and code is compiled when it counts. */
  async open({ name }) {
    const api = await contenders('tiered')
      .find((contender) => contender.name === name)
      .build({ port });
    open.set(name, api);
    for (let i = 0; i < 20; i++) await api.getOrSet(`warm:${process.pid}:${i}`, async () => VALUE);
  },

  async burst({ name, key, callers, factoryMs, startAt }) {
    let factories = 0;
    const factory = async () => {
      factories++;
      await sleep(factoryMs);
      return VALUE;
    };
    await sleep(startAt - Date.now());
    const cpuBefore = process.cpuUsage();
    const startedAt = performance.now();
    const answers = await Promise.all(Array.from({ length: callers }, () => open.get(name).getOrSet(key, factory)));
    const ms = performance.now() - startedAt;
    const cpu = process.cpuUsage(cpuBefore);
    const wrong = answers.filter((answer) => answer?.name !== VALUE.name).length;
    return { factories, ms, wrong, cpuMs: (cpu.user + cpu.system) / 1e3 };
  },
});
