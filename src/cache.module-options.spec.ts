import fc from 'fast-check';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import type { Environment } from './cache.environment.ts';
import { resolveModuleOptions, type CacheModuleOptions } from './cache.module-options.ts';
import { HTTP_DEFAULTS } from './http-cache/http.options.ts';
import { InvalidOptionsError, isInvalidOptionsError } from './common/errors.ts';

/** The error of a start that must fail. */
function startUpError(options: unknown, environment: Environment = {}): InvalidOptionsError {
  try {
    resolveModuleOptions(options as CacheModuleOptions, environment);
  } catch (error) {
    if (isInvalidOptionsError(error)) return error;
    throw error;
  }
  throw new Error('These options should have been refused');
}

describe('resolveModuleOptions', () => {
  it('decides everything by itself when nothing is given', () => {
    expect(resolveModuleOptions({}, {})).toEqual({
      redis: null,
      keys: { prefix: 'app', version: 'v1', separator: ':', maxLength: 250 },
      http: HTTP_DEFAULTS,
      cache: {
        enabled: true,
        rolloutPercent: 100,
        ttlMs: 300_000,
        graceMs: 0,
        jitter: 0.1,
        cacheNull: true,
        coalesce: 'cluster',
        coherence: 'pubsub',
        staleWhileRevalidate: false,
        softTimeoutMs: false,
        hardTimeoutMs: false,
        earlyRefresh: false,
        tags: [],
        read: 'copy',
        tier: 'both',
        schema: false,
        l1: { maxEntries: 10_000, maxBytes: 67_108_864, ttlMs: 60_000 },
        batchSize: 100,
        warmup: true,
        maxValueBytes: 1_048_576,
        compressAboveBytes: 32_768,
        maxLatencyMs: 100,
      },
      lock: { ttlMs: 30_000, retryDelayMs: 100, retryCount: 3, onOutage: 'reject' },
      rateLimit: {
        policies: new Map(),
        tier: expect.any(Function) as unknown,
        headers: ['draft-10'],
        errors: 'problem',
        consumeOnReject: false,
        instances: 1,
        onOutage: 'local',
        allow: [],
        deny: [],
        ipv6Prefix: 64,
        partitionSecret: undefined,
      },
      collections: { onOutage: 'reject' },
      circuitBreaker: {
        timeoutMs: 3_000,
        errorThresholdPercentage: 50,
        resetTimeoutMs: 30_000,
        server: { failureThreshold: 5, recoveryTimeoutMs: 1_000, monitoringPeriodMs: 1_000, halfOpenMaxCalls: 1 },
      },
      metrics: { enabled: true, prefix: 'cache_', logEveryMs: 0, cloudWatchEveryMs: 0 },
      tracing: { enabled: true },
      health: { onOutage: 'degraded', onOpenBreaker: 'degraded' },
      admin: {
        enabled: false,
        path: 'cache/admin',
        token: null,
        guards: [],
        authorize: null,
        values: 'hidden',
        redact: expect.any(Function) as () => unknown,
        audit: 'best-effort',
      },
      logLevel: 'log',
    });
  });

  it('takes every option of a read as a default', () => {
    const cache = {
      grace: '1h',
      staleWhileRevalidate: '1m',
      softTimeout: '250ms',
      hardTimeout: '5s',
      earlyRefresh: 0.8,
      jitter: 0,
      tags: ['all'],
      cacheNull: false,
      coalesce: 'process',
      read: 'frozen',
      tier: 'l2',
      schema: { '~standard': { validate: () => ({}) } },
    } as const;
    expect(resolveModuleOptions({ cache }, {}).cache).toMatchObject({
      graceMs: 3_600_000,
      staleWhileRevalidate: 60_000,
      softTimeoutMs: 250,
      hardTimeoutMs: 5_000,
      earlyRefresh: 0.8,
      jitter: 0,
      tags: ['all'],
      cacheNull: false,
      coalesce: 'process',
      read: 'frozen',
      tier: 'l2',
      schema: cache.schema,
    });
  });

  it('says which defaults of reads are wrong, what is allowed, and what was received', () => {
    const cache = {
      staleWhileRevalidate: 'sometimes',
      softTimeout: 250,
      hardTimeout: true,
      earlyRefresh: 2,
      tags: () => ['all'],
      read: 'raw',
      tier: 'l3',
      schema: {},
      staleWhileRevalidat: true,
    };
    expect(startUpError({ cache }).faults).toEqual([
      "cache.staleWhileRevalidat: unknown option; did you mean 'staleWhileRevalidate'?",
      "cache.tier: must be one of 'both', 'l1', 'l2'; received 'l3'",
      "cache.staleWhileRevalidate: must be true, false or a duration from '0ms' to '24855d'; received 'sometimes'",
      "cache.softTimeout: must be a duration from '0ms' to '24855d', or false; received 250",
      "cache.hardTimeout: must be a duration from '0ms' to '24855d', or false; received true",
      'cache.earlyRefresh: must be a number from 0 to 1, or false; received 2',
      "cache.read: must be one of 'copy', 'frozen'; received 'raw'",
      'cache.schema: must be a Standard Schema, or false; received an object',
      'cache.tags: must be a list of at most 64 texts of 1 to 250 characters; received a function',
    ]);
  });

  it('lets code win over the environment, and the environment over the defaults', () => {
    const environment = { CACHE_TTL_SECONDS: '60', CACHE_L1_MAX_ENTRIES: '500', CACHE_KEY_PREFIX: 'shop' };
    const { cache, keys } = resolveModuleOptions({ cache: { ttl: '10s', l1: { ttl: '1s' } } }, environment);
    expect(cache).toMatchObject({
      ttlMs: 10_000,
      graceMs: 0,
      l1: { ttlMs: 1_000, maxEntries: 500, maxBytes: 67_108_864 },
    });
    expect(keys).toEqual({ prefix: 'shop', version: 'v1', separator: ':', maxLength: 250 });
  });

  it('lets code win over LOG_LEVEL', () => {
    expect(resolveModuleOptions({ logLevel: 'warn' }, { LOG_LEVEL: 'debug' }).logLevel).toBe('warn');
  });

  it('reads process.env when it is called', () => {
    process.env['CACHE_KEY_PREFIX'] = 'set-after-import';
    try {
      expect(resolveModuleOptions().keys.prefix).toBe('set-after-import');
    } finally {
      delete process.env['CACHE_KEY_PREFIX'];
    }
  });

  it('gives every call its own result', () => {
    expect(resolveModuleOptions({}, {}).cache.l1).not.toBe(resolveModuleOptions({}, {}).cache.l1);
  });

  it('takes a server in code, whatever the switch of the environment says', () => {
    const server = { kind: 'standalone', nodes: [{ host: 'a', port: 6379 }] };
    expect(resolveModuleOptions({ redis: { host: 'a' } }, { VALKEY_ENABLED: 'false' }).redis?.target).toEqual(server);
    expect(resolveModuleOptions({ redis: false }, { VALKEY_ENABLED: 'true', VALKEY_HOST: 'a' }).redis).toBeNull();
    expect(resolveModuleOptions({}, { VALKEY_ENABLED: 'false', VALKEY_HOST: 'a' }).redis).toBeNull();
  });

  it('takes a client of the application', () => {
    const client = new Redis({ lazyConnect: true });
    expect(resolveModuleOptions({ redis: client }, {}).redis?.target).toEqual({ kind: 'instance', client });
    client.disconnect();
  });
});

describe('wrong options', () => {
  it('are named in one error, from code and environment alike', () => {
    const { faults, message } = startUpError(
      { keys: { prefx: 'a' }, cache: { rolloutPercent: 101, l1: { maxEntries: 0 } }, lock: { ttl: '11m' } },
      { CACHE_TTL: 'soon', REDIS_PORT: '70000', CACHE_ENABLED: 'perhaps' },
    );
    expect(faults).toEqual([
      "keys.prefx: unknown option; did you mean 'prefix'?",
      'cache.rolloutPercent: must be a number from 0 to 100; received 101',
      'cache.l1.maxEntries: must be a whole number from 1 to 10000000; received 0',
      "lock.ttl: must be a duration from '1ms' to '10m'; received '11m'",
      "REDIS_PORT: must be a whole number from 1 to 65535; received '70000'",
      "CACHE_ENABLED: must be true or false; received 'perhaps'",
      "CACHE_TTL: must be a number of seconds (a duration from '1ms' to '365d'); received 'soon'",
    ]);
    for (const fault of faults) expect(message).toContain(fault);
  });

  it.each<[object, string]>([
    [{ ttl: '5m' }, "ttl: unknown option; did you mean 'cache.ttl'?"],
    [{ rediss: {} }, "rediss: unknown option; did you mean 'redis'?"],
    [{ admin: { enabled: true, tokn: 'x' } }, "admin.tokn: unknown option; did you mean 'token'?"],
    [{ redis: { tls: { rejectUnauthorized: false } } }, 'redis.tls.rejectUnauthorized: unknown option'],
    [{ redis: { enabled: true } }, 'redis.enabled: unknown option'],
    [{ redis: 'redis://a' }, "redis: must be false, an ioredis client, or an object; received 'redis://a'"],
    [
      { logLevel: 'loud' },
      "logLevel: must be one of 'fatal', 'error', 'warn', 'log', 'debug', 'verbose'; received 'loud'",
    ],
    [{ cache: { coherence: 'magic' } }, "cache.coherence: must be one of 'pubsub', 'tracking'; received 'magic'"],
    [{ cache: { jitter: 2 } }, 'cache.jitter: must be a number from 0 to 1; received 2'],
    [
      { redis: { commandTimeout: '0ms' } },
      "redis.commandTimeout: must be a duration from '1ms' to '1m'; received '0ms'",
    ],
  ])('are refused: %j', (options, fault) => {
    expect(startUpError(options).faults).toEqual([fault]);
  });

  it.each(['', ' ', 'a b', 'a*', 'a?', '[a]', '{a}', 'a\\', '^a', 'a@b', 'a\n', 'x'.repeat(65)])(
    'are key prefixes and versions such as %p',
    (part) => {
      expect(startUpError({ keys: { prefix: part, version: part } }).faults).toHaveLength(2);
    },
  );

  it.each(['', ' ', '@', '*', '{', 'a', '1', ':::::'])('are separators such as %p', (separator) => {
    expect(startUpError({ keys: { separator } }).faults).toHaveLength(1);
  });

  it.each([79, 1025, 250.5, '250'])('are key lengths such as %p', (maxLength) => {
    expect(startUpError({ keys: { maxLength } }).faults).toHaveLength(1);
  });

  it.each([null, 'options', 42, []])('are options that are no object: %p', (options) => {
    expect(startUpError(options).faults[0]).toContain('options: must be an object');
  });

  it('that contradict each other are called what they were given as', () => {
    const { faults } = startUpError({}, { VALKEY_URL: 'redis://a', REDIS_HOST: 'b', VALKEY_CLUSTER_NODES: 'c' });
    expect(faults).toEqual([
      'VALKEY_URL: contradicts REDIS_HOST; give one of the two',
      'VALKEY_URL: contradicts VALKEY_CLUSTER_NODES; give one of the two',
      'REDIS_HOST: contradicts VALKEY_CLUSTER_NODES; give one of the two',
    ]);
  });

  it('that are missing are called by both their names', () => {
    expect(startUpError({}, { VALKEY_SENTINELS: 'a' }).faults).toEqual([
      'redis.sentinelName (VALKEY_SENTINEL_NAME): must be given with VALKEY_SENTINELS',
    ]);
  });
});

describe('the admin API', () => {
  it('needs a token of 16 characters to be enabled', () => {
    const token = 'a-long-admin-token';
    const { admin } = resolveModuleOptions({}, { CACHE_ADMIN_ENABLED: 'true', CACHE_ADMIN_TOKEN: token });
    expect(admin).toMatchObject({ enabled: true, token, path: 'cache/admin' });
    expect(inspect(admin) + JSON.stringify(admin)).not.toContain(token);
    expect(startUpError({}, { CACHE_ADMIN_ENABLED: 'true' }).faults).toEqual([
      'CACHE_ADMIN_TOKEN: must be at least 16 characters when CACHE_ADMIN_ENABLED is true, unless admin.guards or admin.authorize protect it; it is not set',
    ]);
    expect(startUpError({}, { CACHE_ADMIN_ENABLED: 'true', CACHE_ADMIN_TOKEN: 'fifteen-letters' }).faults).toEqual([
      'CACHE_ADMIN_TOKEN: must be at least 16 characters; received ***',
    ]);
  });

  it('may be protected by guards or by a function instead', () => {
    const guard = { canActivate: () => true };
    expect(resolveModuleOptions({ admin: { enabled: true, guards: [guard] } }, {}).admin.guards).toEqual([guard]);
    expect(resolveModuleOptions({ admin: { enabled: true, authorize: () => true } }, {}).admin.enabled).toBe(true);
    expect(startUpError({ admin: { enabled: true, guards: [] } }, {}).faults).toHaveLength(1);
  });

  it('keeps no token while it is off', () => {
    expect(resolveModuleOptions({}, { CACHE_ADMIN_TOKEN: 'a-long-admin-token' }).admin.token).toBeNull();
  });
});

describe('secrets', () => {
  // Distinct from every word a message may hold.
  const password = fc.string({ minLength: 4, maxLength: 40 }).map((text) => `Pw7${text}`);
  const shows = (error: Error, secret: string) =>
    (error.message + inspect(error) + JSON.stringify(error)).includes(secret);

  it.each<[string, (secret: string) => [options: unknown, environment: Environment]]>([
    ['a URL that cannot be read', (secret) => [{ redis: { url: `redis://user:${secret}/@host` } }, {}]],
    ['a URL of another scheme', (secret) => [{ redis: { url: `http://user:${encodeURIComponent(secret)}@host` } }, {}]],
    ['a URL in the environment', (secret) => [{}, { VALKEY_URL: `http://user:${secret}@host` }]],
    ['a URL as host', (secret) => [{ redis: { host: `redis://user:${secret}@host` } }, {}]],
    ['a URL as host in the environment', (secret) => [{}, { REDIS_HOST: `redis://user:${secret}@host` }]],
    ['a URL as port', (secret) => [{}, { VALKEY_PORT: `tcp://user:${secret}@host:1` }]],
    ['a URL instead of options', (secret) => [{ redis: `redis://user:${secret}@host` }, {}]],
    ['a URL among cluster nodes', (secret) => [{}, { VALKEY_CLUSTER_NODES: `a:1,redis://user:${secret}@host:1` }]],
    [
      'a URL among sentinels',
      (secret) => [{ redis: { sentinels: [`redis://user:${secret}@host`], sentinelName: 'm' } }, {}],
    ],
    ['a password of the wrong type', (secret) => [{ redis: { password: [secret] } }, {}]],
    ['a misspelt password option', (secret) => [{ redis: { pasword: secret } }, {}]],
    ['a misspelt section', (secret) => [{ reddis: { password: secret } }, {}]],
    ['a password given twice', (secret) => [{ redis: { url: 'redis://:other@host', password: secret } }, {}]],
    [
      'a URL beside a host',
      (secret) => [{ redis: { url: `redis://:${encodeURIComponent(secret)}@h`, host: 'h' } }, {}],
    ],
    ['a token with a blank', (secret) => [{}, { CACHE_ADMIN_TOKEN: `${secret} x` }]],
  ])('are not shown by the error about %s', (_fault, given) => {
    fc.assert(
      fc.property(password, (secret) => !shows(startUpError(...given(secret)), secret)),
      { numRuns: 30 },
    );
  });

  it('are not shown when they are numbers', () => {
    expect(startUpError({ redis: { password: 48_151_623 } }).faults).toEqual([
      'redis.password: must be a text; received ***',
    ]);
  });

  it('are not shown by the options they end up in', () => {
    fc.assert(
      fc.property(password, (secret) => {
        const options = resolveModuleOptions({ redis: { url: `redis://u:${encodeURIComponent(secret)}@a` } }, {});
        return !(inspect(options, { depth: null }) + JSON.stringify(options)).includes(secret);
      }),
    );
  });
});
