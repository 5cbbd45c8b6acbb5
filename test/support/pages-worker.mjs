// One process of an application with a cached route, on the built package; it listens, and does what the test tells it.
import { Controller, Get } from '@nestjs/common';
import { Cacheable } from 'nestjs-keep';
import { answerActs } from './answer-acts.mjs';
import { decorate, listenWith } from './http-worker.mjs';

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
const cached = Cacheable({ ttl: '2s', jitter: 0, staleWhileRevalidate: '1h', scope: 'public' });
decorate(PagesController, 'page', cached, Get('page'));
Controller()(PagesController);

const { port } = await listenWith(PagesController);

const acts = {
  port,
  runs: () => runs,
  shut: () => {
    gate = new Promise((resolve) => (open = resolve));
  },
  open: () => open(),
};

answerActs(acts);
