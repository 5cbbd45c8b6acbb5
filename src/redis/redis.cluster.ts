import { once } from 'node:events';
import type { Cluster, Redis } from 'ioredis';
import { isCluster, type RedisClient } from './redis.client.ts';

/**
 * Connects to each node as soon as it is known. ioredis would wait for its first command, and refuse the ones that
 * come while that connection is being made.
 */
export function connectNodesAtOnce(cluster: Cluster): void {
  cluster.on('+node', (node: Redis) => {
    if (node.status === 'wait' && !node.options.readOnly) node.connect().catch(() => undefined);
  });
}

/** Resolves when every primary takes commands. */
export async function primariesReady(client: RedisClient): Promise<void> {
  if (!isCluster(client)) return;
  const connecting = client.nodes('master').filter((node) => node.status !== 'ready');
  await Promise.all(connecting.map((node) => once(node, 'ready')));
}
