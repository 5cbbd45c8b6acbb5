// One process of an application with an idempotent route, on the built package; it listens, and does what the test tells it.
import { setTimeout as sleep } from 'node:timers/promises';
import { Body, Controller, Post } from '@nestjs/common';
import { Idempotent } from 'nestjs-keep';
import { answerActs } from './answer-acts.mjs';
import { decorate, listenWith } from './http-worker.mjs';

const runs = new Map();

class PaymentsController {
  async pay({ payment, ms }) {
    const run = 1 + (runs.get(payment) ?? 0);
    runs.set(payment, run);
    await sleep(ms);
    return { run, process: process.pid };
  }
}
decorate(PaymentsController, 'pay', Idempotent({ lease: '1s' }), Post());
Body()(PaymentsController.prototype, 'pay', 0);
Controller('payments')(PaymentsController);

const { app, port } = await listenWith(PaymentsController);

const acts = {
  port,
  runs: ({ payment }) => runs.get(payment) ?? 0,
  close: () => app.close(),
};

answerActs(acts);
