import type { Redis } from 'ioredis';
import type { RedisClient } from './redis.client.ts';

type Send = <T>(command: (client: RedisClient) => Promise<T>) => Promise<T>;

/** Keys looked at per command: it takes the server well below a millisecond. */
const PAGE_SIZE = 500;

/** Pages of keys matching a glob, from one node, one command at a time. */
export async function* scanNode(send: Send, pattern: string): AsyncGenerator<readonly string[]> {
  let cursor = '0';
  do {
    const page = (node: RedisClient) => (node as Redis).scan(cursor, 'MATCH', pattern, 'COUNT', PAGE_SIZE);
    const [next, keys] = await send(page);
    if (keys.length > 0) yield keys;
    cursor = next;
  } while (cursor !== '0');
}
