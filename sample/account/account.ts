import { z } from 'zod';

export const account = z.object({ id: z.string(), tier: z.string(), posts: z.int() });

export type Account = z.infer<typeof account>;
