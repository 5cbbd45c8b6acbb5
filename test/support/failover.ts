import { setTimeout as sleep } from 'node:timers/promises';
import { slotOf } from '../../src/redis/key-slot.ts';
import type { CacheApp } from './cache-app.ts';
import { eventually } from './eventually.ts';
import { Load, longest } from './load.ts';
import { ask, type TestServers } from './servers.ts';

const FIRST_SLOTS = [0, 5_461, 10_923] as const;

/** Which primary of `startCluster` answers for a name, as it shares out the slots. */
export const shardOf = (name: string): number =>
  FIRST_SLOTS.findLastIndex((first) => slotOf(`app:v1:${name}`) >= first);

export const NAMES = Array.from({ length: 60 }, (_, index) => `key:${index}`);
export const namesOn = (shard: number): readonly string[] => NAMES.filter((name) => shardOf(name) === shard);

/** Reads from the server, one of the names after the other: what memory holds does not notice anything anyway. */
export function loadOf({ cache }: CacheApp, names: readonly string[]): Load {
  let turn = 0;
  return new Load(() => cache.getOrSet(names[turn++ % names.length]!, { ttl: '60s', tier: 'l2' }, () => 'made'));
}

export const modeOf = ({ cache }: CacheApp): string => cache.getLocalStats().mode;

export const becomes = (app: CacheApp, mode: string, withinMs: number): Promise<boolean> =>
  eventually(() => modeOf(app) === mode, { withinMs });

export interface Failover {
  readonly servers: TestServers;
  readonly app: CacheApp;
  /** Whose replica takes over. */
  readonly shard: number;
  readonly fault: (primary: number, replicaPort: number) => unknown;
  /** What happens to the old primary afterwards. */
  readonly after?: ((primary: number) => unknown) | undefined;
  /** No read takes longer. */
  readonly boundMs: number;
  /** How long it may take until the cluster is used for all keys again. */
  readonly healthyWithinMs: number;
}

/** A replica takes over under load: no read fails or waits for long, and nothing that was invalidated comes back. */
export async function expectFailover({ servers, app, shard, fault, after, ...bounds }: Failover): Promise<void> {
  const { cache } = app;
  const replicaPort = servers.ports[shard + 3]!;
  const lost = namesOn(shard);
  await cache.setMany(NAMES.map((name) => [name, 'old']));
  const load = loadOf(app, NAMES);
  try {
    await sleep(200);
    const brokenAt = performance.now();
    await fault(shard, replicaPort);
    await cache.del(...lost);
    const isPromoted = async () => (await ask(replicaPort, 'ROLE')).includes('master');
    await eventually(isPromoted, { withinMs: bounds.healthyWithinMs });
    await becomes(app, 'server', bounds.healthyWithinMs - (performance.now() - brokenAt) + load.lagMs);
    await after?.(shard);
    await sleep(after === undefined ? 0 : 500);
    await becomes(app, 'server', bounds.healthyWithinMs);
    await eventually(() => cache.getLocalStats().journal === 0);
  } finally {
    await load.stop();
  }
  expect(load.samples.filter(({ error }) => error !== undefined)).toEqual([]);
  expect(longest(load.samples)).toBeLessThan(bounds.boundMs + load.lagMs);
  for (const value of await cache.getMany([...lost])) expect(['made', undefined]).toContain(value);
  await eventually(async () => {
    await cache.set(lost[0]!, 'stored');
    expect(await ask(replicaPort, 'EXISTS', `app:v1:${lost[0]!}`)).toBe(':1\r\n');
  });
}
