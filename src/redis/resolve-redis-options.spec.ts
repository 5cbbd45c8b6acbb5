import { inspect } from 'node:util';
import { Cluster, Redis } from 'ioredis';
import { readOptions } from '../common/read-options.ts';
import { isRedisClient, REDIS_RULES, type RedisServerOptions } from './redis.options.ts';
import { resolveRedisOptions, type RedisSources } from './resolve-redis-options.ts';

const valuesOf = (options: RedisServerOptions) => readOptions(options, REDIS_RULES, []);

function resolve(
  code: RedisServerOptions | false | undefined,
  environment: RedisServerOptions = {},
  enabled?: boolean,
) {
  const faults: string[] = [];
  const sources: RedisSources = {
    code: code === false || code === undefined ? code : valuesOf(code),
    environment: { ...valuesOf(environment), ...(enabled !== undefined && { enabled }) },
    nameOf: (option) => `the variable of ${option}`,
  };
  return { redis: resolveRedisOptions(sources, faults), faults };
}
const targetOf = (code: RedisServerOptions, environment?: RedisServerOptions) =>
  resolve(code, environment).redis?.target;

describe('the choice between a server and memory', () => {
  it.each([
    ['memory when nobody names a server', undefined, {}, undefined, false],
    ['memory when only timeouts are set', undefined, { commandTimeout: '50ms' }, undefined, false],
    ['memory when only a password is set', undefined, { password: 'x' }, undefined, false],
    ['the server whose host the environment names', undefined, { host: 'a' }, undefined, true],
    ['the server whose URL the environment names', undefined, { url: 'redis://a' }, undefined, true],
    ['the cluster whose nodes the environment names', undefined, { cluster: { nodes: ['a'] } }, undefined, true],
    ['the sentinels that the environment names', undefined, { sentinels: ['a'], sentinelName: 'b' }, undefined, true],
    ['a server when the environment asks for one', undefined, {}, true, true],
    ['memory when the environment switches the server off', undefined, { host: 'a' }, false, false],
    ['memory when the code says so', false, { host: 'a' }, true, false],
    ['a server when the code says so', { host: 'a' }, {}, false, true],
  ] as const)('is %s', (_choice, code, environment, enabled, isServer) => {
    const { redis, faults } = resolve(code, environment, enabled);
    expect(redis !== null).toBe(isServer);
    expect(faults).toEqual([]);
  });
});

describe('where the server is', () => {
  it('is localhost when nothing else is said', () => {
    expect(targetOf({})).toEqual({ kind: 'standalone', nodes: [{ host: 'localhost', port: 6379 }] });
  });

  it('is what host, port, user, password, database and TLS say', () => {
    const options = { host: 'a', port: 1, username: 'u', password: 'p', db: 2, tls: { servername: 's' } };
    expect(targetOf(options)).toEqual({
      kind: 'standalone',
      nodes: [{ host: 'a', port: 1 }],
      username: 'u',
      password: 'p',
      db: 2,
      tls: { servername: 's' },
    });
  });

  it('is what a URL says', () => {
    expect(targetOf({ url: 'rediss://u:p@a:1/2' })).toEqual({
      kind: 'standalone',
      nodes: [{ host: 'a', port: 1 }],
      username: 'u',
      password: 'p',
      db: 2,
      tls: {},
    });
  });

  it('is a URL with what stands beside it', () => {
    const target = targetOf({ url: 'redis://a', username: 'u', password: 'p', db: 1, tls: true });
    expect(target).toMatchObject({ nodes: [{ host: 'a', port: 6379 }], username: 'u', password: 'p', db: 1, tls: {} });
  });

  it('is a cluster by its nodes, or by one node as host or URL', () => {
    const nodes = [{ host: 'a', port: 6379 }];
    expect(targetOf({ cluster: { nodes: ['a', 'b:2'] } })).toEqual({
      kind: 'cluster',
      nodes: [...nodes, { host: 'b', port: 2 }],
    });
    expect(targetOf({ cluster: true, host: 'a' })).toEqual({ kind: 'cluster', nodes });
    expect(targetOf({ cluster: true, url: 'redis://:p@a' })).toEqual({ kind: 'cluster', nodes, password: 'p' });
    expect(targetOf({ cluster: false, host: 'a' })).toEqual({ kind: 'standalone', nodes });
  });

  it('is what the sentinels say, on their own default port', () => {
    expect(targetOf({ sentinels: ['a', 'b:2'], sentinelName: 'main', db: 3 })).toEqual({
      kind: 'sentinel',
      nodes: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 2 },
      ],
      sentinelName: 'main',
      db: 3,
    });
  });

  it('keeps the password out of logs', () => {
    const { redis } = resolve({ url: 'redis://u:hunter2@a' });
    expect(redis?.target).toHaveProperty('password', 'hunter2');
    expect(inspect(redis, { depth: null }) + JSON.stringify(redis)).not.toContain('hunter2');
  });
});

describe('code beside environment', () => {
  it('overrides one option and keeps the others', () => {
    const target = targetOf({ port: 2, db: 3 }, { host: 'a', port: 1, username: 'u', password: 'p', tls: true });
    expect(target).toEqual({
      kind: 'standalone',
      nodes: [{ host: 'a', port: 2 }],
      username: 'u',
      password: 'p',
      db: 3,
      tls: {},
    });
  });

  it.each([{ url: 'redis://b' }, { host: 'b' }])('names another server as a whole: %j', (code) => {
    expect(targetOf(code, { url: 'rediss://u:p@a:1/2' })).toEqual({
      kind: 'standalone',
      nodes: [{ host: 'b', port: 6379 }],
    });
    expect(targetOf(code, { host: 'a', port: 1 })).toMatchObject({ nodes: [{ host: 'b', port: 6379 }] });
    expect(targetOf(code, { cluster: { nodes: ['a'] } })).toMatchObject({ kind: 'standalone' });
    expect(targetOf(code, { sentinels: ['a'], sentinelName: 'm' })).toEqual({
      kind: 'standalone',
      nodes: [{ host: 'b', port: 6379 }],
    });
  });

  it('takes credentials and TLS for a server in code from the environment', () => {
    expect(targetOf({ host: 'b' }, { username: 'u', password: 'p', tls: true })).toMatchObject({
      username: 'u',
      password: 'p',
      tls: {},
    });
  });

  it('wins with what its URL says', () => {
    const target = targetOf({ url: 'redis://x:y@b' }, { username: 'u', password: 'p', tls: true });
    expect(target).toEqual({ kind: 'standalone', nodes: [{ host: 'b', port: 6379 }], username: 'x', password: 'y' });
  });

  it('wins over what the URL of the environment says', () => {
    expect(targetOf({ password: 'new' }, { url: 'redis://u:old@a' })).toMatchObject({ username: 'u', password: 'new' });
  });

  it('says with an empty password that there is none', () => {
    expect(targetOf({ password: '' }, { host: 'a', password: 'p' })).not.toHaveProperty('password');
  });

  it('decides each timeout by itself', () => {
    const { redis } = resolve({ commandTimeout: '50ms' }, { commandTimeout: '60ms', bootBudget: '0ms' });
    expect(redis).toMatchObject({ commandTimeoutMs: 50, connectTimeoutMs: 1_000, bootBudgetMs: 0 });
  });
});

describe('contradictions', () => {
  it.each<[RedisServerOptions, string, string]>([
    [{ url: 'redis://a', host: 'a' }, 'url', 'host'],
    [{ url: 'redis://a', port: 1 }, 'url', 'port'],
    [{ url: 'redis://a', cluster: { nodes: ['a'] } }, 'url', 'cluster.nodes'],
    [{ url: 'redis://a', sentinels: ['a'], sentinelName: 'm' }, 'url', 'sentinels'],
    [{ host: 'a', cluster: { nodes: ['a'] } }, 'host', 'cluster.nodes'],
    [{ host: 'a', sentinels: ['a'], sentinelName: 'm' }, 'host', 'sentinels'],
    [{ port: 1, cluster: { nodes: ['a'] } }, 'port', 'cluster.nodes'],
    [{ port: 1, sentinels: ['a'], sentinelName: 'm' }, 'port', 'sentinels'],
    [{ url: 'redis://u:p@a', username: 'v' }, 'url', 'username'],
    [{ url: 'redis://u:p@a', password: 'q' }, 'url', 'password'],
    [{ url: 'redis://a/1', db: 2 }, 'url', 'db'],
    [{ url: 'rediss://a', tls: false }, 'url', 'tls'],
    [{ cluster: true, sentinels: ['a'], sentinelName: 'm' }, 'cluster', 'sentinels'],
  ])('are refused by the names of both options: %j', (options, first, second) => {
    expect(resolve(options).faults).toEqual([`redis.${first}: contradicts redis.${second}; give one of the two`]);
    expect(resolve({}, options).faults).toEqual([
      `the variable of redis.${first}: contradicts the variable of redis.${second}; give one of the two`,
    ]);
  });

  it('between the nodes of a cluster and sentinels are one fault', () => {
    expect(resolve({ cluster: { nodes: ['a'] }, sentinels: ['b'], sentinelName: 'm' }).faults).toEqual([
      'redis.cluster: contradicts redis.sentinels; give one of the two',
    ]);
  });

  it.each<[RedisServerOptions]>([
    [{ url: 'redis://u:p@a/1', username: 'u', password: 'p', db: 1 }],
    [{ url: 'redis://a', tls: true }],
    [{ url: 'rediss://a', tls: { servername: 'b' } }],
    [{ cluster: { nodes: ['a'] }, db: 0 }],
  ])('are not seen where two options agree: %j', (options) => {
    expect(resolve(options).faults).toEqual([]);
  });

  it.each<[RedisServerOptions]>([[{ cluster: true, db: 1 }], [{ cluster: true, url: 'redis://a/1' }]])(
    'are seen between a cluster and a database: %j',
    (options) => {
      expect(resolve(options).faults).toHaveLength(1);
      expect(resolve(options).faults[0]).toContain('must be 0, a cluster has no other database; received 1');
    },
  );

  it('are seen between sentinels and what they watch', () => {
    expect(resolve({ sentinels: ['a'] }).faults).toEqual([
      'the variable of redis.sentinelName: must be given with redis.sentinels',
    ]);
    expect(resolve({ sentinelName: 'm' }).faults).toEqual([
      'the variable of redis.sentinels: must be given with redis.sentinelName',
    ]);
  });

  it('of the environment do not matter when the code decides for memory', () => {
    expect(resolve(false, { url: 'redis://a', host: 'b' }).faults).toEqual([]);
  });
});

describe('a client of the application', () => {
  const clients = [new Redis({ lazyConnect: true }), new Cluster([{ host: 'a' }], { lazyConnect: true })];
  afterAll(() => clients.forEach((client) => client.disconnect()));

  it.each(clients.map((client) => [client.constructor.name, client] as const))(
    'is taken as it is: %s',
    (_name, client) => {
      const sources: RedisSources = { code: client, environment: valuesOf({ commandTimeout: '70ms' }), nameOf: String };
      const redis = resolveRedisOptions(sources, []);
      expect(redis?.target).toHaveProperty('client', client);
      expect(redis).toMatchObject({ target: { kind: 'instance' }, commandTimeoutMs: 70 });
    },
  );

  it('is recognised by what it can do, not by its class', () => {
    const [client] = clients;
    const foreign = { duplicate: () => client, sendCommand: () => undefined, status: 'ready' };
    const parts = Object.keys(foreign).map((part) => ({ ...foreign, [part]: undefined }));
    expect(isRedisClient(foreign)).toBe(true);
    expect(isRedisClient(client)).toBe(true);
    expect([...parts, {}, { host: 'a' }, null, undefined, false, 'redis'].filter(isRedisClient)).toEqual([]);
  });

  it('is not shown with its password', () => {
    const client = new Redis({ lazyConnect: true, password: 'hunter2' });
    const redis = resolveRedisOptions({ code: client, environment: {}, nameOf: String }, []);
    expect(inspect(redis, { depth: null }) + JSON.stringify(redis)).not.toContain('hunter2');
    client.disconnect();
  });
});
