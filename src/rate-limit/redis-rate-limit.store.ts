import type { RedisConnection } from '../redis/redis.connection.ts';
import { defineScript, type RawReply } from '../redis/redis.script.ts';
import type { Quota, QuotaState, RateLimitStore } from './rate-limit-store.interface.ts';
import { SLIDING_WINDOW } from './rate-limit.lua.ts';
import { bucketWidthUs } from './sliding-window.ts';

type Reply = readonly [allowed: number, used: number, resetMs: number, retryAfterMs: number];

const slidingWindowScript = defineScript({
  name: 'rateLimit.slidingWindow',
  arity: 4,
  body: SLIDING_WINDOW,
  reply: (raw: RawReply) => raw as unknown as Reply,
});

/** Counts on the server, shared by every process: one script call decides, by the server's clock. */
export class RedisRateLimitStore implements RateLimitStore {
  constructor(private readonly connection: RedisConnection) {}

  consume(key: string, quota: Quota, cost: number): Promise<QuotaState> {
    return this.judge(key, quota, cost, 1);
  }

  check(key: string, quota: Quota): Promise<QuotaState> {
    return this.judge(key, quota, 1, 0);
  }

  async reset(key: string): Promise<void> {
    await this.connection.execute('rateLimit.reset', (client) => client.del(key), key);
  }

  private async judge(key: string, { limit, windowMs }: Quota, cost: number, spend: 0 | 1): Promise<QuotaState> {
    const width = bucketWidthUs(windowMs);
    const reply = await this.connection.run(slidingWindowScript, key, limit, cost, width, spend);
    const [allowed, used, resetMs, retryAfterMs] = reply;
    return { allowed: allowed === 1, remaining: Math.max(0, limit - used), resetMs, retryAfterMs };
  }
}
