import { z } from 'zod';

/** How the provider behaves from now on. */
export const chaos = z.strictObject({ mode: z.enum(['ok', 'slow', 'fail']) });
export type Chaos = z.infer<typeof chaos>;

export const quote = z.object({
  currency: z.literal('EUR'),
  /** Of a payment of 100 EUR. */
  feeCents: z.int(),
  /** `fallback`: the provider was not asked, or did not answer. */
  source: z.enum(['provider', 'fallback']),
});
export type Quote = z.infer<typeof quote>;
