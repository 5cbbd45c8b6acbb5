// One process that takes locks: does what the test tells it, with the built package.
import 'reflect-metadata';
import { performance } from 'node:perf_hooks';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule, LockService } from 'nestjs-keep';
import { answerActs } from './answer-acts.mjs';

class WorkerModule {}
Module({ imports: [CacheModule.forRoot(JSON.parse(process.env.WORKER_OPTIONS))] })(WorkerModule);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** A clock that all processes of this machine share. */
const now = () => performance.timeOrigin + performance.now();
const app = await NestFactory.createApplicationContext(WorkerModule, { logger: ['error'] });
const locks = app.get(LockService);
const held = new Map();

/** Takes and gives back; answers with one entry for each hold, up to when it was lost or given back. */
async function turns({ resource, times, sectionMs, options, untilMs = Infinity }) {
  const holds = [];
  for (let turn = 0; turn < times && now() < untilMs; turn++) {
    const askedAt = now();
    let lock;
    try {
      lock = await locks.acquire(resource, options);
    } catch (error) {
      if (error.code !== 'KEEP_LOCK_UNAVAILABLE' && error.code !== 'KEEP_LOCK_CONFLICT') throw error;
      await sleep(20);
      continue;
    }
    const hold = { askedAt, from: now(), fence: lock.fence };
    let lostAt = Infinity;
    lock.signal.addEventListener('abort', () => (lostAt = now()));
    await sleep(sectionMs);
    // What counts as held for certain ends where the signal would have said so.
    const to = Math.min(lostAt, now(), lock.signal.aborted ? hold.from : Infinity);
    holds.push({ ...hold, to });
    await lock.release();
  }
  return holds;
}

const acts = {
  /** Several callers of one lock at a time. */
  async contend({ callers, ...work }) {
    return (await Promise.all(Array.from({ length: callers }, () => turns(work)))).flat();
  },
  async hold({ resource, options }) {
    const lock = await locks.acquire(resource, options);
    held.set(resource, lock);
    return { fence: lock.fence, token: lock.token, at: now() };
  },
  /** Stalls the whole process while it holds the lock, then looks at once. */
  stall({ resource, ms }) {
    const lock = held.get(resource);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    return { isAborted: lock.signal.aborted };
  },
  state: ({ resource }) => ({ isAborted: held.get(resource).signal.aborted, metrics: locks.getMetrics() }),
  release: ({ resource }) => held.get(resource).release(),
  tryOnce: async ({ resource, options }) => {
    const lock = await locks.tryAcquire(resource, options);
    if (lock !== null) held.set(resource, lock);
    return lock && { fence: lock.fence, at: now() };
  },
  metrics: () => locks.getMetrics(),
};

answerActs(acts);
