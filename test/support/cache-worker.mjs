// One process of an application: does what the test tells it, with the built package.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule, CacheService, RateLimitService } from 'nestjs-keep';
import { answerActs } from './answer-acts.mjs';

class WorkerModule {}
Module({ imports: [CacheModule.forRoot(JSON.parse(process.env.WORKER_OPTIONS))] })(WorkerModule);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const app = await NestFactory.createApplicationContext(WorkerModule, { logger: ['error', 'warn'] });
const cache = app.get(CacheService);
const gates = new Map();
/** One clock for all processes of this machine. */
const monotonic = () => Number(process.hrtime.bigint() / 1_000n) / 1_000;

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
  /** Calls at once, at a time that all processes agree on; answers when each was asked and answered, and what it was told. */
  async limit({ policy, subject, calls, at }) {
    const limits = app.get(RateLimitService);
    while (monotonic() < at) await sleep(Math.min(5, Math.max(0, at - monotonic() - 1)));
    const one = async () => {
      const askedAt = monotonic();
      const { allowed, degraded } = await limits.consume(policy, subject).catch(({ code }) => ({ allowed: code }));
      return { allowed, degraded, askedAt, answeredAt: monotonic() };
    };
    return Promise.all(Array.from({ length: calls }, one));
  },
  /** As a machine whose clock is wrong. */
  skew({ ms }) {
    const now = Date.now;
    Date.now = () => now() + ms;
  },
  metrics: () => cache.getMetrics(),
};

answerActs(acts);
