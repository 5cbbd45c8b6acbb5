import { type Redis } from 'ioredis';
import { StoreUnavailableError } from '../common/errors.ts';
import { isCluster, type RedisClient } from './redis.client.ts';

type Execute = <T>(operation: string, command: (client: RedisClient) => Promise<T>) => Promise<T>;

/** Keys looked at per command: it takes the server well below a millisecond. */
const PAGE_SIZE = 500;

/** Pages of keys matching a glob, from every primary, one command at a time. */
export async function* scanPrimaries(execute: Execute, pattern: string): AsyncGenerator<readonly string[]> {
  for (const primary of await execute('scan', primariesOf)) {
    let cursor = '0';
    do {
      const page = () => primary.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE_SIZE);
      const [next, keys] = await execute('scan', page);
      if (keys.length > 0) yield keys;
      cursor = next;
    } while (cursor !== '0');
  }
}

async function primariesOf(client: RedisClient): Promise<readonly Redis[]> {
  if (!isCluster(client)) return [client];
  const ranges = await client.cluster('SLOTS');
  const known = new Set(ranges.map(([, , primary]) => primary?.slice(0, 2).join(':')));
  const connected = client.nodes('master');
  // ioredis forgets a node whose connection ended: its keys would be missing, and nobody would notice.
  if (connected.length < known.size)
    throw new StoreUnavailableError('scan', 'a primary of the cluster is not connected');
  return connected;
}
