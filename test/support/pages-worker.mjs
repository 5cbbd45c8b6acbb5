// One process of an application with a cached route, on the built package; it listens, and does what the test tells it.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cacheable, CacheModule } from 'nestjs-keep';
import { answerActs } from './answer-acts.mjs';

let runs = 0;
/** While it is shut, no handler answers. */
let gate = Promise.resolve();
let open = () => undefined;

class PagesController {
  async page() {
    const run = ++runs;
    await gate;
    return { run, process: process.pid };
  }
}
const { prototype } = PagesController;
const descriptor = Object.getOwnPropertyDescriptor(prototype, 'page');
const cached = Cacheable({ ttl: '2s', jitter: 0, staleWhileRevalidate: '1h', scope: 'public' });
Reflect.decorate([cached, Get('page')], prototype, 'page', descriptor);
Object.defineProperty(prototype, 'page', descriptor);
Controller()(PagesController);

class WorkerModule {}
Module({
  imports: [CacheModule.forRoot(JSON.parse(process.env.WORKER_OPTIONS))],
  controllers: [PagesController],
})(WorkerModule);

const app = await NestFactory.create(WorkerModule, { logger: ['error'] });
await app.listen(0, '127.0.0.1');

const acts = {
  port: () => app.getHttpServer().address().port,
  runs: () => runs,
  shut: () => {
    gate = new Promise((resolve) => (open = resolve));
  },
  open: () => open(),
};

answerActs(acts);
