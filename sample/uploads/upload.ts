import type { RateLimitPolicy } from 'nestjs-keep';
import { z } from 'zod';

export const uploadInput = z.strictObject({ name: z.string().trim().min(1).max(100) });
export const upload = uploadInput.extend({ id: z.int() });

export type UploadInput = z.infer<typeof uploadInput>;
export type Upload = z.infer<typeof upload>;

/** Both have to be kept. `limit` is for those whose tier is none of these. */
export const uploadPolicies: readonly RateLimitPolicy[] = [
  {
    ...{ name: 'uploads-day', limit: 3, window: '1d' },
    tiers: { bronze: 3, silver: 10, gold: 30, diamond: 100 },
  },
  {
    ...{ name: 'uploads-week', limit: 10, window: '7d' },
    tiers: { bronze: 10, silver: 50, gold: 150, diamond: 500 },
  },
];
