// One process of an application with an idempotent route, on the built package; it listens, and does what the test tells it.
import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Body, Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule, Idempotent } from 'nestjs-keep';
import { answerActs } from './answer-acts.mjs';

const runs = new Map();

class PaymentsController {
  async pay({ payment, ms }) {
    const run = 1 + (runs.get(payment) ?? 0);
    runs.set(payment, run);
    await sleep(ms);
    return { run, process: process.pid };
  }
}
const { prototype } = PaymentsController;
const descriptor = Object.getOwnPropertyDescriptor(prototype, 'pay');
Reflect.decorate([Idempotent({ lease: '1s' }), Post()], prototype, 'pay', descriptor);
Object.defineProperty(prototype, 'pay', descriptor);
Body()(prototype, 'pay', 0);
Controller('payments')(PaymentsController);

class WorkerModule {}
Module({
  imports: [CacheModule.forRoot(JSON.parse(process.env.WORKER_OPTIONS))],
  controllers: [PaymentsController],
})(WorkerModule);

const app = await NestFactory.create(WorkerModule, { logger: ['error'] });
await app.listen(0, '127.0.0.1');

const acts = {
  port: () => app.getHttpServer().address().port,
  runs: ({ payment }) => runs.get(payment) ?? 0,
  close: () => app.close(),
};

answerActs(acts);
