import type { ResolvedRedisTarget } from '../../src/redis/redis.options.ts';
import { standalone } from './connections.ts';
import { HOST } from './free-ports.ts';
import { startCluster, startSentinels, startSingleNodeCluster, startStandalone, type TestServers } from './servers.ts';

export interface Topology {
  readonly start: () => Promise<TestServers>;
  /** How a connection gets there. */
  readonly targetOf: (servers: TestServers) => ResolvedRedisTarget;
  /** The servers that take writes at the start. */
  readonly primariesOf: (servers: TestServers) => readonly number[];
}

const nodesOf = (ports: readonly number[]) => {
  const [first, ...others] = ports.map((port) => ({ host: HOST, port }));
  return [first!, ...others] as const;
};

export const ONE_SERVER: Topology = {
  start: () => startStandalone(),
  targetOf: ({ port }) => standalone(port),
  primariesOf: ({ port }) => [port],
};

/** Where servers are not just one: what works there, too, works everywhere. */
export const TOPOLOGIES = {
  'a server that refuses several keys': {
    start: startSingleNodeCluster,
    targetOf: ({ port }) => standalone(port),
    primariesOf: ({ port }) => [port],
  },
  'a cluster of one node': {
    start: startSingleNodeCluster,
    targetOf: ({ ports }) => ({ kind: 'cluster', nodes: nodesOf(ports) }),
    primariesOf: ({ port }) => [port],
  },
  'a cluster of three primaries with replicas': {
    start: () => startCluster(),
    targetOf: ({ ports }) => ({ kind: 'cluster', nodes: nodesOf(ports) }),
    primariesOf: ({ ports }) => ports.slice(0, 3),
  },
  'a primary watched by sentinels': {
    start: () => startSentinels('main'),
    targetOf: ({ ports }) => ({ kind: 'sentinel', nodes: nodesOf(ports.slice(2)), sentinelName: 'main' }),
    primariesOf: ({ port }) => [port],
  },
} satisfies Readonly<Record<string, Topology>>;
