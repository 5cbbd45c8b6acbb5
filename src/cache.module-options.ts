import type { LogLevel } from '@nestjs/common';
import { ADMIN_DEFAULTS, type AdminOptions, checkedAdmin, type ResolvedAdminOptions } from './admin/admin.options.ts';
import { readEnvironment, type Environment } from './cache.environment.ts';
import { CODE_RULES, ENVIRONMENT_RULES } from './cache.module-rules.ts';
import { CACHE_DEFAULTS, type CacheOptions, type ResolvedCacheOptions } from './cache/cache.options.ts';
import {
  CIRCUIT_BREAKER_DEFAULTS,
  type CircuitBreakerModuleOptions,
  type ResolvedCircuitBreakerModuleOptions,
} from './circuit-breaker/circuit-breaker.options.ts';
import {
  COLLECTIONS_DEFAULTS,
  type CollectionsOptions,
  type ResolvedCollectionsOptions,
} from './collections/collections.options.ts';
import { InvalidOptionsError } from './common/errors.ts';
import { KEY_DEFAULTS, type KeyOptions, type ResolvedKeyOptions } from './common/keys.ts';
import { readOptions } from './common/read-options.ts';
import { withDefaults } from './common/with-defaults.ts';
import { HEALTH_DEFAULTS, type HealthOptions, type ResolvedHealthOptions } from './health/health.options.ts';
import { HTTP_DEFAULTS, type HttpOptions, type ResolvedHttpOptions } from './http-cache/http.options.ts';
import { LOCK_DEFAULTS, type LockModuleOptions, type ResolvedLockModuleOptions } from './lock/lock.options.ts';
import {
  resolveRateLimitOptions,
  type RateLimitModuleOptions,
  type ResolvedRateLimitModuleOptions,
} from './rate-limit/rate-limit.options.ts';
import { METRICS_DEFAULTS, type MetricsOptions, type ResolvedMetricsOptions } from './metrics/metrics.options.ts';
import type { RedisOptions, ResolvedRedisOptions } from './redis/redis.options.ts';
import { resolveRedisOptions } from './redis/resolve-redis-options.ts';
import { type ResolvedTracingOptions, TRACING_DEFAULTS, type TracingOptions } from './tracing/tracing.options.ts';

/** Options of `CacheModule.forRoot()`. What is left out comes from the environment, else from the defaults. */
export interface CacheModuleOptions {
  /** The server. `false`: memory mode. Left out: the environment decides, and without a word from it, memory mode. */
  readonly redis?: RedisOptions | false;
  readonly keys?: KeyOptions;
  readonly cache?: CacheOptions;
  readonly lock?: LockModuleOptions;
  readonly rateLimit?: RateLimitModuleOptions;
  readonly collections?: CollectionsOptions;
  readonly circuitBreaker?: CircuitBreakerModuleOptions;
  /** The response cache of routes. */
  readonly http?: HttpOptions;
  readonly metrics?: MetricsOptions;
  readonly tracing?: TracingOptions;
  readonly health?: HealthOptions;
  readonly admin?: AdminOptions;
  /** From which level on the module logs; `'debug'` shows hits and misses. @default 'log' */
  readonly logLevel?: LogLevel;
}

/** `CacheModuleOptions` with everything decided; durations in milliseconds, sizes in bytes. */
export interface ResolvedModuleOptions {
  /** `null`: memory mode. */
  readonly redis: ResolvedRedisOptions | null;
  readonly keys: ResolvedKeyOptions;
  readonly cache: ResolvedCacheOptions;
  readonly lock: ResolvedLockModuleOptions;
  readonly rateLimit: ResolvedRateLimitModuleOptions;
  readonly collections: ResolvedCollectionsOptions;
  readonly circuitBreaker: ResolvedCircuitBreakerModuleOptions;
  readonly http: ResolvedHttpOptions;
  readonly metrics: ResolvedMetricsOptions;
  readonly tracing: ResolvedTracingOptions;
  readonly health: ResolvedHealthOptions;
  readonly admin: ResolvedAdminOptions;
  readonly logLevel: LogLevel;
}

/**
 * Decides every option once: code wins over the environment, the environment over the defaults.
 * @throws InvalidOptionsError naming everything that is wrong, in code and in the environment; it shows no secret
 */
export function resolveModuleOptions(
  options: CacheModuleOptions = {},
  environment: Environment = process.env,
): ResolvedModuleOptions {
  const faults: string[] = [];
  const code = readOptions(options, CODE_RULES, faults);
  const { values: env, nameOf } = readEnvironment(environment, ENVIRONMENT_RULES, faults);
  const resolved: ResolvedModuleOptions = {
    redis: resolveRedisOptions({ code: code.redis, environment: env.redis ?? {}, nameOf }, faults),
    keys: withDefaults(KEY_DEFAULTS, env.keys, code.keys),
    cache: withDefaults(CACHE_DEFAULTS, env.cache, code.cache),
    lock: withDefaults(LOCK_DEFAULTS, env.lock, code.lock),
    rateLimit: resolveRateLimitOptions(env.rateLimit, code.rateLimit, faults),
    collections: withDefaults(COLLECTIONS_DEFAULTS, env.collections, code.collections),
    circuitBreaker: withDefaults(CIRCUIT_BREAKER_DEFAULTS, env.circuitBreaker, code.circuitBreaker),
    http: withDefaults(HTTP_DEFAULTS, code.http as Partial<ResolvedHttpOptions> | undefined),
    metrics: withDefaults(METRICS_DEFAULTS, env.metrics, code.metrics),
    tracing: withDefaults(TRACING_DEFAULTS, code.tracing),
    health: withDefaults(HEALTH_DEFAULTS, env.health, code.health),
    admin: checkedAdmin(withDefaults(ADMIN_DEFAULTS, env.admin, code.admin), faults),
    logLevel: code.logLevel ?? env.logLevel ?? 'log',
  };
  if (faults.length > 0) throw new InvalidOptionsError('CacheModule cannot start with these options', faults);
  return resolved;
}
