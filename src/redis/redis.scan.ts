import type { Redis } from 'ioredis';
import { InvalidOptionsError, StoreUnavailableError } from '../common/errors.ts';
import type { RedisDoor } from './availability.types.ts';
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

/** One step of a scan that may go on later, in another process. */
export interface ScanStep {
  /** In the order of their names. */
  readonly keys: readonly string[];
  /** Continues behind one of the keys; looks at the rest of this step again. */
  readonly cursorAfter: (key: string) => string;
  /** Continues behind all of them; null when this was the last step. */
  readonly next: string | null;
}

/** Shard, position of its own scan, key to go on behind. */
const CURSOR = /^(\d+)-(\d+)-(.*)$/s;

/**
 * @param count about how many keys to look at
 * @param cursor where an earlier step ended; undefined for the first one
 * @throws InvalidOptionsError for a cursor that no step had
 */
export async function scanStep(
  door: RedisDoor,
  pattern: string,
  cursor = '0-0-',
  count = PAGE_SIZE,
): Promise<ScanStep> {
  const [form, index = '', position = '', after = ''] = CURSOR.exec(cursor) ?? [];
  if (form === undefined) throw new InvalidOptionsError('Wrong cursor', ['cursor: must be one that a page ended with']);
  // So that a number means the same shard next time.
  const shards = door.shards.toSorted((some, other) => some.place.localeCompare(other.place));
  const shard = shards[Number(index)];
  if (shards.length === 0) throw new StoreUnavailableError('scan', 'the server is not connected');
  if (shard === undefined) return { keys: [], cursorAfter: () => cursor, next: null };
  const page = (node: RedisClient) => (node as Redis).scan(position, 'MATCH', pattern, 'COUNT', count);
  const [nextPosition, found] = await door.executeOn(shard, 'scan', page);
  const isLast = nextPosition === '0' && Number(index) === shards.length - 1;
  return {
    keys: [...new Set(found)].filter((key) => key > after).sort(),
    cursorAfter: (key) => `${index}-${position}-${key}`,
    next: isLast ? null : nextPosition === '0' ? `${Number(index) + 1}-0-` : `${index}-${nextPosition}-`,
  };
}
