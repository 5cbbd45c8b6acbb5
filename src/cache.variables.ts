import {
  flag,
  logLevel,
  milliseconds,
  nodes,
  number,
  plain,
  seconds,
  type Reading,
} from './cache.variable-readings.ts';

/** One environment variable. The reader, `.env.example` and `docs/configuration.md` all go by this table. */
export interface Variable {
  readonly name: string;
  /** Read when the variable itself is not set. */
  readonly alias?: string;
  readonly reading: Reading;
  /** Path of the option in code. */
  readonly option: string;
  readonly default?: string;
  /** In Markdown. */
  readonly meaning: string;
}

type Row = Pick<Variable, 'alias' | 'default' | 'meaning'>;
const variable = (name: string, reading: Reading, option: string, row: Row): Variable => ({
  name,
  reading,
  option,
  ...row,
});

const SERVER = [
  variable('VALKEY_ENABLED', flag, 'redis.enabled', {
    alias: 'REDIS_ENABLED',
    meaning:
      '`false`: memory mode, no connection is tried (in code `redis: false`). Not set: `true` when a URL, host, cluster nodes or sentinels are set, else `false`',
  }),
  variable('VALKEY_URL', plain, 'redis.url', {
    alias: 'REDIS_URL',
    meaning: '`redis://` or `rediss://` (TLS), with user, password and database',
  }),
  variable('VALKEY_HOST', plain, 'redis.host', {
    alias: 'REDIS_HOST',
    default: 'localhost',
    meaning: 'Host, when there is no URL',
  }),
  variable('VALKEY_PORT', number, 'redis.port', {
    alias: 'REDIS_PORT',
    default: '6379',
    meaning: 'Port, when there is no URL',
  }),
  variable('VALKEY_USERNAME', plain, 'redis.username', { alias: 'REDIS_USERNAME', meaning: 'ACL user' }),
  variable('VALKEY_PASSWORD', plain, 'redis.password', { alias: 'REDIS_PASSWORD', meaning: 'Password of the user' }),
  variable('VALKEY_TLS', flag, 'redis.tls', {
    alias: 'REDIS_TLS',
    default: 'false',
    meaning: 'Encrypts the connection; the certificate is always verified',
  }),
  variable('VALKEY_CLUSTER', flag, 'redis.cluster', {
    alias: 'REDIS_CLUSTER_ENABLED',
    default: 'false',
    meaning: 'The server is a cluster. Cluster nodes alone say so too; `false` ignores them',
  }),
  variable('VALKEY_CLUSTER_NODES', nodes, 'redis.cluster.nodes', {
    alias: 'REDIS_CLUSTER_NODES',
    meaning: 'Some nodes of the cluster: `host1:6379,host2:6379`. Without them the host or URL is one',
  }),
  variable('VALKEY_SENTINELS', nodes, 'redis.sentinels', {
    alias: 'REDIS_SENTINELS',
    meaning: 'The sentinels: `host1:26379,host2:26379`',
  }),
  variable('VALKEY_SENTINEL_NAME', plain, 'redis.sentinelName', {
    alias: 'REDIS_SENTINEL_NAME',
    meaning: 'Name of the primary that the sentinels watch',
  }),
];

const CACHE = [
  variable('CACHE_ENABLED', flag, 'cache.enabled', {
    alias: 'ENABLE_CACHE',
    default: 'true',
    meaning:
      'Feature flag. `false`: `getOrSet` and `@Cacheable` always run the factory; locks, limits and breakers stay on',
  }),
  variable('CACHE_ROLLOUT_PERCENT', number, 'cache.rolloutPercent', {
    default: '100',
    meaning: 'Share of keys, by a stable hash of the key, that is cached',
  }),
  variable('CACHE_TTL_SECONDS', seconds, 'cache.ttl', {
    alias: 'CACHE_TTL',
    default: '300',
    meaning: 'How long a value is fresh unless the call says otherwise (s)',
  }),
  variable('CACHE_KEY_PREFIX', plain, 'keys.prefix', {
    default: 'app',
    meaning: 'The application: first part of every key',
  }),
  variable('CACHE_KEY_VERSION', plain, 'keys.version', {
    default: 'v1',
    meaning: 'Shape of what is stored: a new version starts empty',
  }),
  variable('CACHE_KEY_SEPARATOR', plain, 'keys.separator', {
    default: ':',
    meaning: 'Stands between prefix, version and key',
  }),
  variable('CACHE_MAX_KEY_LENGTH', number, 'keys.maxLength', {
    default: '250',
    meaning: 'Characters of a key; a longer key is stored under its beginning and a hash',
  }),
  variable('CACHE_COMMAND_TIMEOUT_MS', milliseconds, 'redis.commandTimeout', {
    default: '200',
    meaning: 'Deadline of one operation on the server (ms)',
  }),
  variable('CACHE_CONNECT_TIMEOUT_MS', milliseconds, 'redis.connectTimeout', {
    default: '1000',
    meaning: 'Deadline of connecting (ms)',
  }),
  variable('CACHE_BOOT_BUDGET_MS', milliseconds, 'redis.bootBudget', {
    default: '2000',
    meaning: 'How long start-up waits for the server before it goes on without (ms)',
  }),
  variable('CACHE_L1_MAX_ENTRIES', number, 'cache.l1.maxEntries', {
    default: '10000',
    meaning: 'Entries in the memory tier',
  }),
  variable('CACHE_L1_MAX_BYTES', number, 'cache.l1.maxBytes', {
    default: '64mb',
    meaning: 'Bytes in the memory tier, as a number or with `kb`, `mb`, `gb`',
  }),
  variable('CACHE_L1_TTL_SECONDS', seconds, 'cache.l1.ttl', {
    default: '60',
    meaning: 'How long the memory tier answers before the server is asked again (s)',
  }),
  variable('CACHE_BATCH_SIZE', number, 'cache.batchSize', {
    default: '100',
    meaning: 'Keys in one command of a batch call',
  }),
  variable('CACHE_WARMUP_ENABLED', flag, 'cache.warmup', {
    default: 'true',
    meaning: 'Whether `warm()` loads anything',
  }),
  variable('CACHE_MAX_LATENCY_MS', milliseconds, 'cache.maxLatency', {
    default: '100',
    meaning: 'An operation slower than this is counted as slow (ms)',
  }),
];

const PROTECTION = [
  variable('CACHE_CB_FAILURE_THRESHOLD', number, 'circuitBreaker.server.failureThreshold', {
    default: '5',
    meaning: 'Failures that open the breaker in front of the server',
  }),
  variable('CACHE_CB_RECOVERY_TIMEOUT', milliseconds, 'circuitBreaker.server.recoveryTimeout', {
    default: '1000',
    meaning: 'How long that breaker stays open before a trial call (ms)',
  }),
  variable('CACHE_CB_MONITORING_PERIOD', milliseconds, 'circuitBreaker.server.monitoringPeriod', {
    default: '1000',
    meaning: 'How far back that breaker counts failures (ms)',
  }),
  variable('CACHE_CB_HALF_OPEN_MAX_CALLS', number, 'circuitBreaker.server.halfOpenMaxCalls', {
    default: '1',
    meaning: 'Trial calls after that break: all have to be answered',
  }),
  variable('CIRCUIT_BREAKER_TIMEOUT', milliseconds, 'circuitBreaker.timeout', {
    default: '3000',
    meaning: "Application's breakers: an operation that takes longer has failed (ms)",
  }),
  variable('CIRCUIT_BREAKER_ERROR_THRESHOLD', number, 'circuitBreaker.errorThresholdPercentage', {
    default: '50',
    meaning: "Application's breakers: share of failed calls that opens them (%)",
  }),
  variable('CIRCUIT_BREAKER_RESET_TIMEOUT', milliseconds, 'circuitBreaker.resetTimeout', {
    default: '30000',
    meaning: "Application's breakers: how long they stay open before a trial call (ms)",
  }),
  variable('CACHE_LOCK_DEFAULT_TTL', seconds, 'lock.ttl', {
    default: '30',
    meaning: 'How long a lock lasts unless it is extended (s)',
  }),
  variable('CACHE_LOCK_RETRY_DELAY', number, 'lock.retryDelay', {
    default: '100',
    meaning: 'Between attempts to get a lock (ms); times the retries it bounds the wait',
  }),
  variable('CACHE_LOCK_MAX_RETRIES', number, 'lock.retryCount', { default: '3', meaning: 'Attempts after the first' }),
  variable('LOCK_ON_OUTAGE', plain, 'lock.onOutage', {
    default: 'reject',
    meaning: 'Locks while the server is away: `reject` (503) or `local` (this process only)',
  }),
  variable('RATE_LIMIT_ON_OUTAGE', plain, 'rateLimit.onOutage', {
    default: 'local',
    meaning: "Rate limits while the server is away: `local` (this process's share), `reject` (503) or `allow`",
  }),
  variable('COLLECTIONS_ON_OUTAGE', plain, 'collections.onOutage', {
    default: 'reject',
    meaning: 'Sets, hashes, lists and counters while the server is away: `reject` (503) or `local`',
  }),
];

const OPERATIONS = [
  variable('CACHE_METRICS_ENABLED', flag, 'metrics.enabled', {
    default: 'true',
    meaning: 'Prometheus metrics, where `prom-client` is installed',
  }),
  variable('CACHE_ADMIN_ENABLED', flag, 'admin.enabled', {
    default: 'false',
    meaning: 'Admin API and dashboard; needs the token',
  }),
  variable('CACHE_ADMIN_TOKEN', plain, 'admin.token', {
    meaning: 'Bearer token of the admin API, 16 characters or more',
  }),
  variable('LOG_LEVEL', logLevel, 'logLevel', {
    default: 'log',
    meaning: '`fatal`, `error`, `warn`, `log`, `debug` (shows hits and misses) or `verbose`',
  }),
];

export const VARIABLES: readonly Variable[] = [...SERVER, ...CACHE, ...PROTECTION, ...OPERATIONS];
