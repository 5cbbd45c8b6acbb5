import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { Chaos } from './payment.ts';

const ANSWER_MS = 20;
const SLOW_MS = 3_000;

/** Stands in for somebody else's service that can be made slow, or down. */
@Injectable()
export class PaymentProvider {
  mode: Chaos['mode'] = 'ok';

  async feeCents(): Promise<number> {
    await sleep(this.mode === 'slow' ? SLOW_MS : ANSWER_MS);
    if (this.mode === 'fail') throw new Error('The payment provider is down');
    return 35;
  }
}
