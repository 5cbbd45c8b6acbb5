import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { InvalidOptionsError, StoreUnavailableError } from '../common/errors.ts';
import type { RedisDoor } from './availability.types.ts';
import type { RedisClient } from './redis.client.ts';

type Send = <T>(command: (client: RedisClient) => Promise<T>) => Promise<T>;

/** Keys looked at per command: it takes the server well below a millisecond. */
export const PAGE_SIZE = 500;
/** Characters of base64url. */
const MARK_LENGTH = 8;

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
  readonly keys: readonly string[];
  /** Looks at this step again, without some of its keys. */
  readonly cursorWithout: (seen: readonly string[]) => string;
  /** Continues behind all of them; null when this was the last step. */
  readonly next: string | null;
}

/** Shard, position of its own scan, marks of keys that were seen there. */
const CURSOR = /^(\d+)-(\d+)-([\w.-]*)$/;

/**
 * A cursor cannot say "behind this key": when the server's table shrinks, a position brings keys that it did not have
 * before, and those could stand in front of it.
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
  const [form, index = '', position = '', marks = ''] = CURSOR.exec(cursor) ?? [];
  if (form === undefined) throw new InvalidOptionsError('Wrong cursor', ['cursor: must be one that a page ended with']);
  // So that a number means the same shard next time.
  const shards = door.shards.toSorted((some, other) => some.place.localeCompare(other.place));
  const shard = shards[Number(index)];
  if (shards.length === 0) throw new StoreUnavailableError('scan', 'the server is not connected');
  if (shard === undefined) return { keys: [], cursorWithout: () => cursor, next: null };
  const page = (node: RedisClient) => (node as Redis).scan(position, 'MATCH', pattern, 'COUNT', count);
  const [nextPosition, found] = await door.executeOn(shard, 'scan', page);
  const isLast = nextPosition === '0' && Number(index) === shards.length - 1;
  const seen = marks === '' ? [] : marks.split('.');
  return {
    keys: [...new Set(found)].filter((key) => !seen.includes(markOf(key))),
    cursorWithout: (keys) => `${index}-${position}-${[...seen, ...keys.map(markOf)].join('.')}`,
    next: isLast ? null : nextPosition === '0' ? `${Number(index) + 1}-0-` : `${index}-${nextPosition}-`,
  };
}

/** Two keys of one step that have the same would be one in 2^48 steps. */
const markOf = (key: string): string => createHash('sha256').update(key).digest('base64url').slice(0, MARK_LENGTH);
