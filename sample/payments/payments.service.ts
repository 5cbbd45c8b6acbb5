import { Injectable } from '@nestjs/common';
import { WithCircuitBreaker } from 'nestjs-keep';
import { PaymentProvider } from './payment.provider.ts';
import type { Quote } from './payment.ts';

/** Above every fee the provider has ever asked for. */
const SAFE_FEE_CENTS = 50;

@Injectable()
export class PaymentsService {
  constructor(private readonly provider: PaymentProvider) {}

  /** When the provider fails or is slow three times, it is left alone for two seconds. */
  @WithCircuitBreaker(
    { name: 'payments', timeout: '250ms', volumeThreshold: 3, resetTimeout: '2s' },
    { fallback: 'safeQuote' },
  )
  async quote(): Promise<Quote> {
    return { currency: 'EUR', feeCents: await this.provider.feeCents(), source: 'provider' };
  }

  safeQuote(): Quote {
    return { currency: 'EUR', feeCents: SAFE_FEE_CENTS, source: 'fallback' };
  }
}
