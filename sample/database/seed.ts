import type { Post } from '../feed/feed.ts';
import type { Tables } from './database.ts';

const posts = (userId: string, count: number): Post[] =>
  Array.from({ length: count }, (_, index) => ({ userId, text: `Post ${count - index} of ${userId}` }));

/** What the database holds when it starts; the newest posts come first. */
export const SEED: Tables = {
  products: [
    { id: 1, name: 'Teapot', priceCents: 2400 },
    { id: 2, name: 'Cup', priceCents: 900 },
    { id: 3, name: 'Kettle', priceCents: 4900 },
  ],
  posts: [...posts('ada', 12), ...posts('grace', 3)],
  orders: [],
  uploads: [],
};
