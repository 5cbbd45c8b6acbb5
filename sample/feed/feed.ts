import { z } from 'zod';

export interface Post {
  readonly userId: string;
  readonly text: string;
}

export interface FeedPage {
  readonly page: number;
  readonly posts: readonly string[];
}

/** Bounded: every page that is asked for becomes an entry of the cache. */
export const pageNumber = z.coerce.number().int().min(1).max(1_000).default(1);

export const userName = z.string().regex(/^[a-z0-9][\w-]{0,63}$/i);
