export { CacheModule } from './cache.module.ts';
export type { CacheModuleOptions } from './cache.module-options.ts';
export type { CacheModuleOptionsFactory } from './cache.module-definition.ts';
export { cacheConfig, cacheEnvironment } from './cache.config.ts';
export type { Duration } from './common/duration.ts';

export { CacheService } from './cache/cache.service.ts';
export type { SubscribeOptions } from './message-bus/pub-sub.ts';
export type { CacheOptions, Coherence, MemoryTierOptions } from './cache/cache.options.ts';
export type { Coalescing, GetOrSetOptions, SetOptions, StandardSchema, Tier } from './cache/get-or-set.options.ts';
export type { Factory, FactoryContext } from './cache/cache-factory.ts';
export type { CacheMetricsSnapshot as CacheMetrics } from './cache/cache-metrics.ts';
export type { CacheStats, LocalStats, ServerStats } from './cache/cache-stats.ts';
export type { StatsWindow, WindowStats } from './cache/cache-windows.ts';
export type { Loaded, WarmEntry, WarmOptions, WarmReport } from './cache/cache-batch.ts';

export { Cacheable, type CacheableOptions } from './cache/cacheable.decorator.ts';
export type {
  CacheableRouteOptions,
  ResponseScope,
  RouteOnlyOptions,
  RouteResponse,
} from './cache/cacheable-route.options.ts';
export type { HeaderSwitch, HttpOptions, RequestDirectiveMode } from './http-cache/http.options.ts';
export { CacheEvict, type CacheEvictOptions } from './cache/cache-evict.decorator.ts';
export { CachePut, type CachePutOptions } from './cache/cache-put.decorator.ts';
export { Caching } from './cache/caching.decorator.ts';

export { defineKey, pattern, type KeyDefinition, type KeyParameters, type KeyPart } from './common/define-key.ts';
export { KeyService } from './cache/key.service.ts';
export type { KeyOptions } from './common/keys.ts';

export { CollectionsService } from './collections/collections.service.ts';
export type { CollectionsOptions } from './collections/collections.options.ts';
export type { CollectionValue } from './collections/collections.values.ts';

export type { AdminAction, AdminAuthorize, AdminOptions, AdminRedact } from './admin/admin.options.ts';
export { CacheHealthIndicator, type CacheHealth } from './health/cache.health.ts';
export type { HealthOptions, HealthStatus } from './health/health.options.ts';
export type { MetricsOptions } from './metrics/metrics.options.ts';
export type { TracingOptions } from './tracing/tracing.options.ts';

export {
  LockService,
  type LockedWork,
  type LockInfo,
  type LockPage,
  type ReadWriteLock,
  type Semaphore,
} from './lock/lock.service.ts';
export type { LockMetrics } from './lock/lock-metrics.ts';
export { currentLock } from './lock/lock-context.ts';
export { CurrentLock } from './lock/current-lock.decorator.ts';
export { LockGuard } from './lock/lock.guard.ts';
export { WithLock, type LockedMethodDecorator } from './lock/with-lock.decorator.ts';
export type { WithLockOptions } from './lock/lock-operation.ts';
export type { Lock } from './lock/lock.handle.ts';
export type { LockModuleOptions } from './lock/lock.options.ts';
export type { LockOptions } from './lock/lock-request.ts';
export {
  isLockConflictError,
  isLockLostError,
  isLockReentranceError,
  isLockUnavailableError,
  LockConflictError,
  LockLostError,
  LockReentranceError,
  LockUnavailableError,
} from './lock/lock.errors.ts';

export { Idempotent } from './idempotency/idempotent.decorator.ts';
export type { IdempotentOptions } from './idempotency/idempotent.options.ts';
export {
  IdempotencyAnswerLostError,
  IdempotencyConflictError,
  IdempotencyMismatchError,
  IdempotencyRequestError,
  IdempotencyUnavailableError,
  isIdempotencyAnswerLostError,
  isIdempotencyConflictError,
  isIdempotencyMismatchError,
  isIdempotencyRequestError,
  isIdempotencyUnavailableError,
} from './idempotency/idempotency.errors.ts';

export { RateLimitService } from './rate-limit/rate-limit.service.ts';
export type { RateLimitDecision } from './rate-limit/rate-limit.decision.ts';
export type { RateLimitMetrics } from './rate-limit/rate-limit.metrics.ts';
export type { ConsumeOptions, RateLimitEscalation, RateLimitPolicy } from './rate-limit/rate-limit.policy.ts';
export type { RateLimitHeaders, RateLimitModuleOptions } from './rate-limit/rate-limit.options.ts';
export { RateLimit, SkipRateLimit } from './rate-limit/rate-limit.decorator.ts';
export { RateLimitGuard } from './rate-limit/rate-limit.guard.ts';
export type { LimitedRequest } from './common/caller.ts';
export { isRateLimitExceededError, RateLimitExceededError } from './rate-limit/rate-limit.errors.ts';

export {
  CircuitBreakerService,
  type CircuitLogger,
  type ExecuteOptions,
} from './circuit-breaker/circuit-breaker.service.ts';
export {
  CircuitBreaker,
  type CircuitEvent,
  type CircuitListener,
  type Fallback,
  type Operation,
} from './circuit-breaker/circuit-breaker.handle.ts';
export {
  WithCircuitBreaker,
  type WithCircuitBreakerOptions,
} from './circuit-breaker/with-circuit-breaker.decorator.ts';
export type { CircuitBreakerConfig, ErrorFilter } from './circuit-breaker/circuit.config.ts';
export type {
  CircuitBreakerStats,
  CircuitChange,
  CircuitCounts,
  CircuitState,
} from './circuit-breaker/circuit.stats.ts';
export type { CircuitBreakerModuleOptions, ServerBreakerOptions } from './circuit-breaker/circuit-breaker.options.ts';
export {
  CircuitFullError,
  CircuitOpenError,
  CircuitTimeoutError,
  isCircuitFullError,
  isCircuitOpenError,
  isCircuitTimeoutError,
} from './circuit-breaker/circuit-breaker.errors.ts';

export type { RedisNode, RedisOptions, RedisServerOptions, RedisTlsOptions } from './redis/redis.options.ts';
export type { RedisClient } from './redis/redis.connection.ts';

export {
  CacheInfrastructureError,
  FactoryTimeoutError,
  InvalidKeyError,
  InvalidOptionsError,
  InvalidTtlError,
  isCacheInfrastructureError,
  isFactoryTimeoutError,
  isInvalidKeyError,
  isInvalidOptionsError,
  isInvalidTtlError,
  isOutcomeUnknownError,
  isReentrantLoadError,
  isSerializationError,
  isStoreUnavailableError,
  isWrongTypeError,
  OutcomeUnknownError,
  ReentrantLoadError,
  SerializationError,
  StoreUnavailableError,
  WrongTypeError,
} from './common/errors.ts';
