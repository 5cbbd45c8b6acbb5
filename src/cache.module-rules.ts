import { ADMIN_RULES } from './admin/admin.options.ts';
import { CACHE_RULES } from './cache/cache.options.ts';
import { CIRCUIT_BREAKER_RULES } from './circuit-breaker/circuit-breaker.options.ts';
import { COLLECTIONS_RULES } from './collections/collections.options.ts';
import type { KeyOptions } from './common/keys.ts';
import { either, flag, integer, oneOf, rule, text, type RulesOf } from './common/option-rules.ts';
import { HEALTH_RULES } from './health/health.options.ts';
import { HTTP_RULES } from './http-cache/http.options.ts';
import { LOCK_RULES } from './lock/lock.options.ts';
import { METRICS_RULES } from './metrics/metrics.options.ts';
import { RATE_LIMIT_RULES } from './rate-limit/rate-limit.options.ts';
import { isRedisClient, REDIS_RULES } from './redis/redis.options.ts';
import { TRACING_RULES } from './tracing/tracing.options.ts';

/** A part of every key: what a pattern or a cluster would read as something else is kept out. */
const keyPart = (allowed: string, form: RegExp) => text(`${allowed}, without blanks and * ? [ ] { } \\ ^ @`, form);
const KEY_RULES = {
  prefix: keyPart('1 to 64 characters', /^[^\s\p{Cc}*?[\]{}\\^@]{1,64}$/u),
  version: keyPart('1 to 64 characters', /^[^\s\p{Cc}*?[\]{}\\^@]{1,64}$/u),
  separator: keyPart('1 to 4 punctuation characters', /^[^\s\p{Cc}\p{L}\p{N}*?[\]{}\\^@]{1,4}$/u),
  // A longer key ends in 64 hexadecimal digits, and its beginning should still tell what it is.
  maxLength: integer(80, 1_024),
} satisfies RulesOf<KeyOptions>;

const SHARED_RULES = {
  keys: KEY_RULES,
  cache: CACHE_RULES,
  lock: LOCK_RULES,
  rateLimit: RATE_LIMIT_RULES,
  collections: COLLECTIONS_RULES,
  circuitBreaker: CIRCUIT_BREAKER_RULES,
  metrics: METRICS_RULES,
  health: HEALTH_RULES,
  admin: ADMIN_RULES,
  logLevel: oneOf('fatal', 'error', 'warn', 'log', 'debug', 'verbose'),
};

const memoryOrClient = rule('false, an ioredis client', (value) =>
  value === false || isRedisClient(value) ? value : undefined,
);

/** What `CacheModuleOptions` may hold. */
export const CODE_RULES = {
  redis: either(memoryOrClient, REDIS_RULES),
  ...SHARED_RULES,
  http: HTTP_RULES,
  tracing: TRACING_RULES,
};

/** What the environment may say: it has a switch for the server. */
export const ENVIRONMENT_RULES = {
  redis: { enabled: flag, ...REDIS_RULES },
  ...SHARED_RULES,
};
