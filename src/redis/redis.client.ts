import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type ClusterOptions, type DNSLookupFunction, Redis, type RedisOptions } from 'ioredis';
import { InvalidOptionsError } from '../common/errors.ts';
import { withDeadline } from '../common/deadline.ts';
import type {
  RedisTlsOptions,
  ResolvedRedisOptions,
  ResolvedRedisTarget,
  ResolvedRedisTimeouts,
} from './redis.options.ts';
import { reconnectDelayMs, type StalePrimaryPolicy } from './redis.reconnect.ts';

export type RedisClient = Redis | Cluster;

type ServerTarget = Exclude<ResolvedRedisTarget, { kind: 'instance' }>;

/** A socket that owes an answer for this long, or longer than a command may take, is given up. An idle one is never touched. */
const SOCKET_TIMEOUT_MS = 1_000;
/** How long the server may take to close its side before the socket is destroyed. */
const DISCONNECT_TIMEOUT_MS = 250;
/** How long a connection that is being closed may take to end. */
const CLOSE_BUDGET_MS = 1_000;
/** ioredis would trust the server's own estimate of its loading time, which may be many seconds too long. */
const LOADING_POLL_MS = 250;
/** How often a cluster client looks for nodes that came or went without a redirection telling it so. */
const SLOTS_REFRESH_MS = 5_000;

/** The ioredis client for a target, not connected yet; a lent instance is handed back as it is. */
export function createClient({ target, ...timeouts }: ResolvedRedisOptions, policy: StalePrimaryPolicy): RedisClient {
  if (target.kind === 'instance') return checkLent(target.client);
  const settings = { ...commonSettings(timeouts), ...credentials(target), reconnectOnError: policy.shouldReconnect };
  switch (target.kind) {
    case 'standalone':
      return new Redis({ ...settings, ...alone, ...target.nodes[0], ...secured(target.tls), db: target.db ?? 0 });
    case 'sentinel':
      return new Redis({ ...settings, ...alone, ...behindSentinels(target, timeouts), db: target.db ?? 0 });
    case 'cluster':
      return new Cluster([...target.nodes], {
        ...clusterSettings(target, timeouts),
        redisOptions: { ...settings, ...secured(target.tls) },
      });
    default:
      return target satisfies never;
  }
}

export type Topology = 'standalone' | 'sentinel' | 'cluster';

/** What the client talks to, a lent one, too. */
export function topologyOf(client: RedisClient): Topology {
  if (isCluster(client)) return 'cluster';
  return client.options.sentinels == null ? 'standalone' : 'sentinel';
}

export const isCluster = (client: RedisClient): client is Cluster => client.isCluster;

/** Every server that takes writes: the nodes of a cluster by their address. */
export const primariesOf = (client: RedisClient): readonly string[] =>
  isCluster(client) ? client.nodes('master').map(addressOf) : ['server'];

const addressOf = ({ options }: Redis): string => `${options.host}:${options.port}`;

/**
 * A connection of its own to the server that `client` talks to, in a cluster to any of its nodes or to one of
 * `primariesOf`. It does not connect again by itself: after `end` the caller opens another one, which then reaches a
 * node that is alive.
 */
export function createSubscriber(
  client: RedisClient,
  timeouts: ResolvedRedisTimeouts,
  primary?: string,
): Redis | undefined {
  const nodes = isCluster(client) ? client.nodes() : [client];
  const node =
    isCluster(client) && primary !== undefined
      ? nodes.find((each) => addressOf(each) === primary)
      : nodes[Math.floor(Math.random() * nodes.length)];
  return node?.duplicate({
    ...commonSettings(timeouts),
    ...alone,
    retryStrategy: null,
    reconnectOnError: null,
    // ioredis would not wait for the outcome of its own resubscription, and so not notice when that fails.
    autoResubscribe: false,
    readOnly: false,
  });
}

const alone = { enableOfflineQueue: false, retryStrategy: reconnectDelayMs } satisfies RedisOptions;

function commonSettings({ commandTimeoutMs, connectTimeoutMs }: ResolvedRedisTimeouts) {
  const patienceMs = Math.max(commandTimeoutMs, SOCKET_TIMEOUT_MS);
  return {
    // With RESP3 ioredis 6 drops invalidation pushes and misreads integers near 2^53; ioredis 5 knows no such option.
    protocol: 2,
    lazyConnect: true,
    enableReadyCheck: true,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    maxLoadingRetryTime: LOADING_POLL_MS,
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    socketTimeout: patienceMs,
    // A backstop for the handshake. Operations have a deadline of their own, which forgives a blocked event loop.
    commandTimeout: patienceMs,
  } satisfies RedisOptions;
}

const credentials = ({ username, password }: ServerTarget) => ({
  ...(username !== undefined && { username }),
  ...(password !== undefined && { password }),
});

/** Says so explicitly: NODE_TLS_REJECT_UNAUTHORIZED=0 must not switch verification off. */
const verified = (tls: RedisTlsOptions) => ({ ...tls, rejectUnauthorized: true });

const secured = (tls: RedisTlsOptions | undefined) => (tls === undefined ? {} : { tls: verified(tls) });

function behindSentinels({ nodes, sentinelName, tls }: ServerTarget, timeouts: ResolvedRedisTimeouts) {
  return {
    sentinels: nodes.map((node) => ({ ...node })),
    name: sentinelName,
    sentinelRetryStrategy: reconnectDelayMs,
    sentinelCommandTimeout: timeouts.connectTimeoutMs,
    ...secured(tls),
    // TLS is for the whole deployment: ioredis alone would talk to sentinels and the primary without it.
    ...(tls !== undefined && { sentinelTLS: verified(tls), enableTLSForSentinelMode: true }),
  } satisfies RedisOptions;
}

function clusterSettings({ tls }: ServerTarget, { connectTimeoutMs }: ResolvedRedisTimeouts) {
  return {
    lazyConnect: true,
    enableReadyCheck: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: reconnectDelayMs,
    slotsRefreshTimeout: connectTimeoutMs,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    // ioredis would send a command again after its connection was lost, when it may have been executed.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    // Certificates name hosts: the seeds must not be resolved to addresses first.
    ...(tls !== undefined && { dnsLookup: keepName }),
  } satisfies ClusterOptions;
}

const keepName: DNSLookupFunction = (host, done) => done(null, host);

/** Options of a lent client that would make it write other keys, or answer other types, than this package expects. */
function checkLent(client: RedisClient): RedisClient {
  const options = {
    ...(isCluster(client) ? client.options.redisOptions : undefined),
    ...client.options,
  } as RedisOptions;
  const faults = [
    ...(options.keyPrefix ? ['redis.keyPrefix: not supported on a lent client, use keys.prefix instead'] : []),
    ...(options.stringNumbers ? ['redis.stringNumbers: not supported on a lent client'] : []),
    ...(options.replyMapping === 'resp3' ? ["redis.replyMapping: 'resp3' is not supported on a lent client"] : []),
  ];
  if (faults.length > 0) throw new InvalidOptionsError('The lent ioredis client cannot be used', faults);
  return client;
}

/** Where a target is, without user and password. */
export function describeTarget(target: ResolvedRedisTarget): string {
  if (target.kind === 'instance') return 'the lent client';
  const nodes = target.nodes.map(({ host, port }) => `${host}:${port}`).join(', ');
  switch (target.kind) {
    case 'standalone':
      return nodes;
    case 'sentinel':
      return `${target.sentinelName ?? 'the primary'} behind sentinels ${nodes}`;
    case 'cluster':
      return `cluster ${nodes}`;
    default:
      return target satisfies never;
  }
}

/** Says goodbye where somebody listens, then ends the connection whatever happens. */
export async function closeClient(client: RedisClient, quitTimeoutMs: number): Promise<void> {
  const ended = new Promise<void>((resolve) => client.once('end', resolve));
  const late = () => new Error('late');
  if (client.status === 'ready') {
    await withDeadline(Promise.all([client.quit(), ended]), quitTimeoutMs, { late }).catch(() => undefined);
  }
  if (client.status === 'end') return;
  const isBetweenAttempts = client.status === 'reconnecting';
  client.disconnect();
  // Between two attempts ioredis does not tell the end, but leaves a timer behind that is waited for here.
  if (isBetweenAttempts) await sleep(DISCONNECT_TIMEOUT_MS);
  else await withDeadline(ended, CLOSE_BUDGET_MS, { late }).catch(() => undefined);
}
