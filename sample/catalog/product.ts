import { z } from 'zod';

/** What a client says about a product; anything else in the body is refused. */
export const productInput = z.strictObject({
  name: z.string().trim().min(1).max(100),
  priceCents: z.int().min(0).max(100_000_000),
});
export const product = productInput.extend({ id: z.int() });
export const products = z.array(product);

export type ProductInput = z.infer<typeof productInput>;
export type Product = z.infer<typeof product>;
