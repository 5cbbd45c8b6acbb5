// One process of an application: does what the test tells it, with the built package.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule, CacheService } from 'nestjs-keep';

class WorkerModule {}
Module({ imports: [CacheModule.forRoot(JSON.parse(process.env.WORKER_OPTIONS))] })(WorkerModule);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const app = await NestFactory.createApplicationContext(WorkerModule, { logger: ['error', 'warn'] });
const cache = app.get(CacheService);
const gates = new Map();

const acts = {
  /** Many callers of one key at once; answers how often the factory ran here, and what the callers got. */
  async burst({ key, callers, factoryMs, options = 300 }) {
    let runs = 0;
    const factory = async () => {
      runs++;
      await sleep(factoryMs);
      return `made by ${process.pid}`;
    };
    const values = await Promise.all(Array.from({ length: callers }, () => cache.getOrSet(key, options, factory)));
    return { runs, values: [...new Set(values)] };
  },
  /** Starts a load that reads `value` now and ends when its gate is opened. */
  async begin({ key, value, options = 300 }) {
    const done = new Promise((entered) => {
      const result = cache.getOrSet(key, options, async () => {
        const gate = new Promise((open) => gates.set(key, { open }));
        entered();
        await gate;
        return value;
      });
      gates.result = result;
    });
    await done;
  },
  async finish({ key }) {
    gates.get(key).open();
    return gates.result;
  },
  load: ({ key, value, options = 300 }) => cache.getOrSet(key, options, () => value),
  call: ({ method, args }) => cache[method](...args),
  metrics: () => cache.getMetrics(),
};

process.on('message', async ({ id, act, args }) => {
  try {
    process.send({ id, value: await acts[act](args) });
  } catch (error) {
    process.send({ id, error: error.message });
  }
});
process.on('disconnect', () => process.exit());
process.send({ ready: true });
