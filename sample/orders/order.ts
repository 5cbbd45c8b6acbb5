import { z } from 'zod';

export const orderInput = z.strictObject({
  productId: z.int().min(1),
  quantity: z.int().min(1).max(100),
});
export const order = orderInput.extend({ id: z.int() });

export type OrderInput = z.infer<typeof orderInput>;
export type Order = z.infer<typeof order>;
