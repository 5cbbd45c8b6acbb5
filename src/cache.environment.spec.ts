import type { Environment } from './cache.environment.ts';
import { resolveModuleOptions } from './cache.module-options.ts';
import { VARIABLES } from './cache.variables.ts';
import { InvalidOptionsError } from './common/errors.ts';

const SUBJECT = 'CacheModule cannot start with these options';

/** For each variable a value, the option it decides and the result; and what must be set besides, to see it. */
const SAMPLES: Record<string, { text: string; path: string; expected: unknown; besides?: Environment }> = {
  VALKEY_ENABLED: { text: 'false', path: 'redis', expected: null },
  VALKEY_URL: { text: 'rediss://u:p%40@a:1/2', path: 'redis.target.nodes', expected: [{ host: 'a', port: 1 }] },
  VALKEY_HOST: { text: 'a', path: 'redis.target.nodes', expected: [{ host: 'a', port: 6379 }] },
  VALKEY_PORT: { text: '6380', path: 'redis.target.nodes', expected: [{ host: 'localhost', port: 6380 }] },
  VALKEY_USERNAME: { text: 'u', path: 'redis.target.username', expected: 'u' },
  VALKEY_PASSWORD: { text: ' p@ss ', path: 'redis.target.password', expected: ' p@ss ' },
  VALKEY_TLS: { text: 'true', path: 'redis.target.tls', expected: {} },
  VALKEY_CLUSTER: { text: 'true', path: 'redis.target.kind', expected: 'cluster' },
  VALKEY_CLUSTER_NODES: {
    text: 'a:1, [::1]:2',
    path: 'redis.target.nodes',
    expected: [
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ],
  },
  VALKEY_SENTINELS: {
    text: 'a:1,b',
    path: 'redis.target.nodes',
    expected: [
      { host: 'a', port: 1 },
      { host: 'b', port: 26_379 },
    ],
    besides: { VALKEY_SENTINEL_NAME: 'main' },
  },
  VALKEY_SENTINEL_NAME: {
    text: 'main',
    path: 'redis.target.sentinelName',
    expected: 'main',
    besides: { VALKEY_SENTINELS: 'a' },
  },
  CACHE_ENABLED: { text: 'false', path: 'cache.enabled', expected: false },
  CACHE_ROLLOUT_PERCENT: { text: '12.5', path: 'cache.rolloutPercent', expected: 12.5 },
  CACHE_TTL_SECONDS: { text: '60', path: 'cache.ttlMs', expected: 60_000 },
  CACHE_KEY_PREFIX: { text: 'shop', path: 'keys.prefix', expected: 'shop' },
  CACHE_KEY_VERSION: { text: 'v2', path: 'keys.version', expected: 'v2' },
  CACHE_KEY_SEPARATOR: { text: '/', path: 'keys.separator', expected: '/' },
  CACHE_MAX_KEY_LENGTH: { text: '100', path: 'keys.maxLength', expected: 100 },
  CACHE_COMMAND_TIMEOUT_MS: { text: '50', path: 'redis.commandTimeoutMs', expected: 50 },
  CACHE_CONNECT_TIMEOUT_MS: { text: '500', path: 'redis.connectTimeoutMs', expected: 500 },
  CACHE_BOOT_BUDGET_MS: { text: '0', path: 'redis.bootBudgetMs', expected: 0 },
  CACHE_L1_MAX_ENTRIES: { text: '5', path: 'cache.l1.maxEntries', expected: 5 },
  CACHE_L1_MAX_BYTES: { text: '1mb', path: 'cache.l1.maxBytes', expected: 1_048_576 },
  CACHE_L1_TTL_SECONDS: { text: '0.5', path: 'cache.l1.ttlMs', expected: 500 },
  CACHE_BATCH_SIZE: { text: '10', path: 'cache.batchSize', expected: 10 },
  CACHE_WARMUP_ENABLED: { text: 'false', path: 'cache.warmup', expected: false },
  CACHE_MAX_LATENCY_MS: { text: '20', path: 'cache.maxLatencyMs', expected: 20 },
  CACHE_CB_FAILURE_THRESHOLD: { text: '9', path: 'circuitBreaker.server.failureThreshold', expected: 9 },
  CACHE_CB_RECOVERY_TIMEOUT: { text: '2000', path: 'circuitBreaker.server.recoveryTimeoutMs', expected: 2_000 },
  CACHE_CB_MONITORING_PERIOD: { text: '5000', path: 'circuitBreaker.server.monitoringPeriodMs', expected: 5_000 },
  CACHE_CB_HALF_OPEN_MAX_CALLS: { text: '2', path: 'circuitBreaker.server.halfOpenMaxCalls', expected: 2 },
  CIRCUIT_BREAKER_TIMEOUT: { text: '1500', path: 'circuitBreaker.timeoutMs', expected: 1_500 },
  CIRCUIT_BREAKER_ERROR_THRESHOLD: { text: '30', path: 'circuitBreaker.errorThresholdPercentage', expected: 30 },
  CIRCUIT_BREAKER_RESET_TIMEOUT: { text: '10000', path: 'circuitBreaker.resetTimeoutMs', expected: 10_000 },
  CACHE_LOCK_DEFAULT_TTL: { text: '5', path: 'lock.ttlMs', expected: 5_000 },
  CACHE_LOCK_RETRY_DELAY: { text: '20', path: 'lock.retryDelayMs', expected: 20 },
  CACHE_LOCK_MAX_RETRIES: { text: '0', path: 'lock.retryCount', expected: 0 },
  LOCK_ON_OUTAGE: { text: 'local', path: 'lock.onOutage', expected: 'local' },
  RATE_LIMIT_ON_OUTAGE: { text: 'allow', path: 'rateLimit.onOutage', expected: 'allow' },
  COLLECTIONS_ON_OUTAGE: { text: 'local', path: 'collections.onOutage', expected: 'local' },
  CACHE_METRICS_ENABLED: { text: 'false', path: 'metrics.enabled', expected: false },
  CACHE_ADMIN_ENABLED: {
    text: 'true',
    path: 'admin.enabled',
    expected: true,
    besides: { CACHE_ADMIN_TOKEN: 'sixteen-letters-' },
  },
  CACHE_ADMIN_TOKEN: {
    text: 'sixteen-letters-',
    path: 'admin.token',
    expected: 'sixteen-letters-',
    besides: { CACHE_ADMIN_ENABLED: 'true' },
  },
  LOG_LEVEL: { text: 'debug', path: 'logLevel', expected: 'debug' },
};

/** What the environment decides where there is a server, so that its options show. */
const resolve = (environment: Environment) => resolveModuleOptions({}, { REDIS_ENABLED: 'true', ...environment });
const optionAt = (path: string, environment: Environment): unknown =>
  path
    .split('.')
    .reduce<unknown>((value, part) => (value as Record<string, unknown> | null)?.[part], resolve(environment));

describe('the variables', () => {
  it('all have a sample above', () => {
    expect(Object.keys(SAMPLES).sort()).toEqual(VARIABLES.map(({ name }) => name).sort());
  });

  it('never give one name two meanings', () => {
    const names = VARIABLES.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias]));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe.each(VARIABLES)('$name', ({ name }) => {
  const { text, path, expected, besides = {} } = SAMPLES[name]!;

  it('decides its option', () => {
    expect(optionAt(path, {})).not.toEqual(expected);
    expect(optionAt(path, { ...besides, [name]: text })).toEqual(expected);
  });

  it('is not set when it is empty', () => {
    expect(resolve({ [name]: '' })).toEqual(resolve({}));
  });
});

describe.each(VARIABLES.filter(({ alias }) => alias !== undefined))('$alias', ({ name, alias = '' }) => {
  const { text, path, expected, besides = {} } = SAMPLES[name]!;

  it(`stands for ${name}`, () => {
    expect(optionAt(path, { ...besides, [alias]: text })).toEqual(expected);
    expect(optionAt(path, { ...besides, [alias]: text, [name]: '' })).toEqual(expected);
  });

  it(`is not read when ${name} is set`, () => {
    expect(optionAt(path, { ...besides, [name]: text, [alias]: 'this is never read' })).toEqual(expected);
  });
});

describe.each(VARIABLES.filter((variable) => variable.default !== undefined))('the default of $name', (variable) => {
  it('is what happens when it is not set', () => {
    expect(resolve({ [variable.name]: variable.default })).toEqual(resolve({}));
  });
});

describe('the text of a variable', () => {
  it.each(['true', 'TRUE', 'yes', 'on', '1'])('means true when it is %s', (text) => {
    expect(resolve({ VALKEY_TLS: text }).redis?.target).toHaveProperty('tls');
  });

  it.each(['false', 'False', 'no', 'off', '0'])('means false when it is %s', (text) => {
    expect(resolve({ CACHE_ENABLED: text }).cache.enabled).toBe(false);
  });

  it.each([
    ['info', 'log'],
    ['TRACE', 'verbose'],
    ['silent', 'fatal'],
    ['Debug', 'debug'],
  ])('may be a level of another logger: %s', (text, level) => {
    expect(resolve({ LOG_LEVEL: text }).logLevel).toBe(level);
  });

  it('may carry the unit of a duration itself', () => {
    expect(resolve({ CACHE_TTL_SECONDS: '5m' }).cache.ttlMs).toBe(300_000);
  });

  it.each<[string, string, string]>([
    ['CACHE_ENABLED', 'maybe', "must be true or false; received 'maybe'"],
    ['CACHE_ENABLED', '2', "must be true or false; received '2'"],
    ['CACHE_TTL_SECONDS', '-1', "must be a number of seconds (a duration from '1ms' to '365d'); received '-1'"],
    ['CACHE_TTL_SECONDS', '0', "must be a number of seconds (a duration from '1ms' to '365d'); received '0'"],
    ['CACHE_TTL_SECONDS', '1e3', "must be a number of seconds (a duration from '1ms' to '365d'); received '1e3'"],
    ['CACHE_LOCK_DEFAULT_TTL', '601', "must be a number of seconds (a duration from '1ms' to '10m'); received '601'"],
    ['CACHE_COMMAND_TIMEOUT_MS', '0', "must be a number of milliseconds (a duration from '1ms' to '1m'); received '0'"],
    ['CACHE_ROLLOUT_PERCENT', '100.5', "must be a number from 0 to 100; received '100.5'"],
    ['CACHE_BATCH_SIZE', '1.5', "must be a whole number from 1 to 10000; received '1.5'"],
    ['CACHE_LOCK_MAX_RETRIES', 'constructor', "must be a whole number from 0 to 1000; received 'constructor'"],
    ['CACHE_METRICS_ENABLED', 'constructor', "must be true or false; received 'constructor'"],
    // What Kubernetes sets for a service called redis.
    ['REDIS_PORT', 'tcp://10.0.0.1:6379', "must be a whole number from 1 to 65535; received 'tcp://10.0.0.1:6379'"],
    ['VALKEY_CLUSTER_NODES', 'a:1,', "must be host:port,host:port; received 'a:1,'"],
    ['LOCK_ON_OUTAGE', 'allow', "must be one of 'reject', 'local'; received 'allow'"],
    [
      'CACHE_KEY_SEPARATOR',
      ' ',
      "must be 1 to 4 punctuation characters, without blanks and * ? [ ] { } \\ ^ @; received ' '",
    ],
  ])('%s=%s is refused by name, range and value', (name, text, fault) => {
    expect(() => resolve({ [name]: text })).toThrow(new InvalidOptionsError(SUBJECT, [`${name}: ${fault}`]));
  });
});

describe('a cluster', () => {
  it('is meant by its nodes alone, unless it is switched off', () => {
    const nodes = { VALKEY_CLUSTER_NODES: 'a:1,b:2' };
    expect(resolve(nodes).redis?.target).toHaveProperty('kind', 'cluster');
    expect(resolve({ ...nodes, VALKEY_CLUSTER: 'true' }).redis?.target).toHaveProperty('nodes.length', 2);
    expect(resolve({ ...nodes, VALKEY_CLUSTER: 'false', VALKEY_HOST: 'c' }).redis?.target).toMatchObject({
      kind: 'standalone',
      nodes: [{ host: 'c', port: 6379 }],
    });
  });
});
