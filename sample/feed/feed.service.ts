import { Injectable } from '@nestjs/common';
import { CacheService, defineKey } from 'nestjs-keep';
import { Database } from '../database/database.ts';
import type { FeedPage } from './feed.ts';

const PAGE_SIZE = 10;

/** Whatever the user id holds, it cannot reach beyond its place in the key. */
const feedPage = defineKey('feed:user:{userId}:page:{page}');

@Injectable()
export class FeedService {
  constructor(
    private readonly cache: CacheService,
    private readonly database: Database,
  ) {}

  /**
   * A page is fresh for 30 s. After that readers get the old one at once while one of them refreshes it, and they still
   * get it when the database fails.
   */
  page(userId: string, page: number): Promise<FeedPage> {
    const options = { ttl: '30s', grace: '10m', staleWhileRevalidate: true } as const;
    return this.cache.getOrSet(feedPage({ userId, page }), options, () => this.load(userId, page));
  }

  private async load(userId: string, page: number): Promise<FeedPage> {
    const all = await this.database.read((tables) => tables.posts);
    const own = all.filter((post) => post.userId === userId);
    // Who has written nothing yet sees what everybody wrote.
    const posts = own.length > 0 ? own : all;
    const shown = posts.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE);
    return { page, posts: shown.map(({ text }) => text) };
  }
}
