import { Cluster, Redis } from 'ioredis';
import { InvalidOptionsError } from '../common/errors.ts';
import { createClient, createSubscriber, describeTarget } from './redis.client.ts';
import { REDIS_TIMEOUTS, type ResolvedRedisTarget } from './redis.options.ts';
import { StalePrimaryPolicy } from './redis.reconnect.ts';

const NODES = [{ host: 'redis.internal', port: 6380 }] as const;
const SECRET = { username: 'ada', password: 'hunter2' };

const clientOf = (target: ResolvedRedisTarget) => createClient({ ...REDIS_TIMEOUTS, target }, new StalePrimaryPolicy());
const optionsOf = (target: ResolvedRedisTarget) => clientOf(target).options as Record<string, unknown>;

/** What must hold for every connection, whatever the topology. */
const SAFE = {
  protocol: 2,
  connectTimeout: 1_000,
  socketTimeout: 1_000,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableReadyCheck: true,
  maxLoadingRetryTime: 250,
};

describe('createClient', () => {
  it('connects to one server, not before it is asked to', () => {
    const client = clientOf({ kind: 'standalone', nodes: NODES, ...SECRET, db: 3 });
    expect(client).toBeInstanceOf(Redis);
    expect(client.status).toBe('wait');
    expect(client.options).toMatchObject({ ...SAFE, ...NODES[0], ...SECRET, db: 3, enableOfflineQueue: false });
  });

  it('gives a socket up when it owes an answer for longer than a command may take', () => {
    const target = { kind: 'standalone', nodes: NODES } as const;
    const { options } = createClient({ ...REDIS_TIMEOUTS, commandTimeoutMs: 4_000, target }, new StalePrimaryPolicy());
    expect(options).toMatchObject({ socketTimeout: 4_000, commandTimeout: 4_000 });
  });

  it('asks sentinels for the primary', () => {
    const options = optionsOf({ kind: 'sentinel', nodes: NODES, sentinelName: 'main', ...SECRET });
    expect(options).toMatchObject({ ...SAFE, sentinels: NODES, name: 'main', ...SECRET, enableOfflineQueue: false });
  });

  it('uses a cluster without queues and without sending anything again after a lost connection', () => {
    const client = clientOf({ kind: 'cluster', nodes: NODES, ...SECRET });
    expect(client).toBeInstanceOf(Cluster);
    expect(client.status).toBe('wait');
    expect(client.options).toMatchObject({
      enableOfflineQueue: false,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      redisOptions: { ...SAFE, ...SECRET },
    });
  });

  it('verifies certificates in every topology', () => {
    const tls = { ca: 'PEM', servername: 'redis.internal' };
    const verified = { tls: { ...tls, rejectUnauthorized: true } };
    expect(optionsOf({ kind: 'standalone', nodes: NODES, tls })).toMatchObject(verified);
    expect(optionsOf({ kind: 'cluster', nodes: NODES, tls })).toMatchObject({ redisOptions: verified });
    expect(optionsOf({ kind: 'sentinel', nodes: NODES, sentinelName: 'main', tls })).toMatchObject({
      ...verified,
      sentinelTLS: verified.tls,
      enableTLSForSentinelMode: true,
    });
  });

  it('hands a lent client back as it is', () => {
    const client = new Redis({ lazyConnect: true });
    expect(clientOf({ kind: 'instance', client })).toBe(client);
  });

  it.each([
    ['keyPrefix', new Redis({ lazyConnect: true, keyPrefix: 'app:' })],
    ['stringNumbers', new Redis({ lazyConnect: true, stringNumbers: true })],
    ['keyPrefix', new Cluster([], { lazyConnect: true, redisOptions: { keyPrefix: 'app:' } })],
  ])('refuses a lent client whose %s would change keys or answers', (option, client) => {
    expect(() => clientOf({ kind: 'instance', client })).toThrow(InvalidOptionsError);
    expect(() => clientOf({ kind: 'instance', client })).toThrow(`redis.${option}`);
  });
});

describe('createSubscriber', () => {
  it('neither connects again nor subscribes again by itself', () => {
    const client = clientOf({ kind: 'standalone', nodes: NODES, ...SECRET });
    const subscriber = createSubscriber(client, REDIS_TIMEOUTS)!;
    expect(subscriber.options).toMatchObject({ ...SAFE, ...NODES[0], ...SECRET });
    expect(subscriber.options).toMatchObject({ retryStrategy: null, autoResubscribe: false });
  });

  it('is undefined while a cluster has no node that is known', () => {
    expect(createSubscriber(clientOf({ kind: 'cluster', nodes: NODES }), REDIS_TIMEOUTS)).toBeUndefined();
  });
});

describe('describeTarget', () => {
  it.each<[ResolvedRedisTarget, string]>([
    [{ kind: 'standalone', nodes: NODES, ...SECRET }, 'redis.internal:6380'],
    [{ kind: 'cluster', nodes: [...NODES, { host: 'b', port: 1 }], ...SECRET }, 'cluster redis.internal:6380, b:1'],
    [{ kind: 'sentinel', nodes: NODES, sentinelName: 'main', ...SECRET }, 'main behind sentinels redis.internal:6380'],
  ])('names the place of %j', (target, text) => {
    expect(describeTarget(target)).toBe(text);
  });
});
