import type { Provider } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { adminProviders } from './cache.admin.ts';
import { channelsOf, openBackend, type Backend } from './cache.backends.ts';
import { CacheLifecycle } from './cache.lifecycle.ts';
import { MODULE_OPTIONS_TOKEN } from './cache.module-definition.ts';
import { resolveModuleOptions, type CacheModuleOptions, type ResolvedModuleOptions } from './cache.module-options.ts';
import { BACKEND, OPTIONS, TRACING } from './cache.tokens.ts';
import { CacheEngine } from './cache/cache-engine.ts';
import type { CacheLocal } from './cache/cache-local.ts';
import type { ReadTrace } from './cache/cache-stack.ts';
import { CacheStatsReader } from './cache/cache-stats.ts';
import { CacheSync } from './cache/cache-sync.ts';
import { CacheWatch, watchedPrefixes } from './cache/cache-watch.ts';
import { CacheWaiters } from './cache/cache-waiters.ts';
import { type CacheParts, CacheService } from './cache/cache.service.ts';
import { CacheableExplorer } from './cache/cacheable.explorer.ts';
import { KeyService } from './cache/key.service.ts';
import { ReadOptionsResolver } from './cache/read-options.resolver.ts';
import { TracedCacheService } from './cache/traced-cache.service.ts';
import { CircuitBreakerExplorer } from './circuit-breaker/circuit-breaker.explorer.ts';
import { CircuitBreakerService } from './circuit-breaker/circuit-breaker.service.ts';
import { CollectionsService } from './collections/collections.service.ts';
import { MemoryCollectionsStore } from './collections/memory-collections.store.ts';
import { KeySpace } from './common/keys.ts';
import { LeveledLogger } from './common/leveled-logger.ts';
import { MemoryKeyspace } from './common/memory-keyspace.ts';
import { ServiceExplorer } from './common/service.explorer.ts';
import { Telemetry } from './common/telemetry.ts';
import type { Tracing } from './common/tracing.ts';
import { CacheHealthIndicator } from './health/cache.health.ts';
import { IdempotencyExplorer } from './idempotency/idempotency.explorer.ts';
import { IdempotencyInterceptor } from './idempotency/idempotency.interceptor.ts';
import { IdempotencyService } from './idempotency/idempotency.service.ts';
import { LockKeeper } from './lock/lock-keeper.ts';
import { LockExplorer } from './lock/lock.explorer.ts';
import { ResponseCacheExplorer } from './http-cache/response-cache.explorer.ts';
import { ResponseCacheInterceptor } from './http-cache/response-cache.interceptor.ts';
import { HTTP_CACHE_PARTS, type HttpCacheParts, openResponseCache } from './http-cache/response-cache.parts.ts';
import { RoutePolicies } from './http-cache/route-policies.ts';
import { LockService } from './lock/lock.service.ts';
import { CacheMetricsExporter } from './metrics/cache-metrics.exporter.ts';
import { EmfReporter } from './metrics/emf.reporter.ts';
import { FactsSource } from './metrics/facts.source.ts';
import { MetricsLog } from './metrics/metrics.log.ts';
import { RedisKeyWatch } from './message-bus/redis-key-watch.ts';
import type { RedisConnection } from './redis/redis.connection.ts';
import { PubSub } from './message-bus/pub-sub.ts';
import { RateLimitExplorer } from './rate-limit/rate-limit.explorer.ts';
import { RateLimitService } from './rate-limit/rate-limit.service.ts';
import { openTracing } from './tracing/opentelemetry.tracing.ts';
import { traceEvents } from './tracing/trace-events.ts';

/** What other modules inject. */
export const exported = [
  CacheService,
  KeyService,
  CollectionsService,
  LockService,
  RateLimitService,
  CircuitBreakerService,
  IdempotencyService,
  CacheHealthIndicator,
  HTTP_CACHE_PARTS,
];

/** What is opened, from the options down to the services: one place picks server or memory for each capability. */
export const providers: Provider[] = [
  {
    provide: OPTIONS,
    inject: [MODULE_OPTIONS_TOKEN],
    useFactory: (options: CacheModuleOptions) => resolveModuleOptions(options),
  },
  {
    provide: KeySpace,
    inject: [OPTIONS],
    useFactory: ({ keys }: ResolvedModuleOptions) => new KeySpace(keys),
  },
  CacheWaiters,
  Telemetry,
  {
    provide: CircuitBreakerService,
    inject: [OPTIONS],
    useFactory: ({ circuitBreaker, logLevel }: ResolvedModuleOptions) =>
      new CircuitBreakerService(circuitBreaker, new LeveledLogger('CircuitBreaker', logLevel)),
  },
  {
    provide: BACKEND,
    inject: [OPTIONS, KeySpace, CacheWaiters, CircuitBreakerService, Telemetry],
    useFactory: (
      options: ResolvedModuleOptions,
      keys: KeySpace,
      waiters: CacheWaiters,
      circuits: CircuitBreakerService,
      telemetry: Telemetry,
    ) => openBackend({ options, keys, circuits, waiters, channels: channelsOf(keys), telemetry }),
  },
  {
    provide: TRACING,
    inject: [OPTIONS, CircuitBreakerService, Telemetry],
    useFactory: async (
      { tracing: { enabled }, redis }: ResolvedModuleOptions,
      circuits: CircuitBreakerService,
      telemetry: Telemetry,
    ) => {
      const tracing = enabled ? await openTracing(redis === null) : undefined;
      if (tracing !== undefined) traceEvents(tracing, circuits, telemetry);
      return tracing;
    },
  },
  {
    provide: CacheEngine,
    inject: [BACKEND, CacheWaiters, KeySpace, OPTIONS, Telemetry, TRACING],
    useFactory: (
      backend: Backend,
      waiters: CacheWaiters,
      keys: KeySpace,
      options: ResolvedModuleOptions,
      telemetry: Telemetry,
      tracing: Tracing | undefined,
    ) => {
      const { cache: store, recoveryCache: recoveryStore, tier } = backend;
      const trace = traceOf(options, tracing);
      const { cache } = options;
      // In memory mode the tier holds a second copy: leaving it is no loss.
      const onEvict = backend.keyspace === undefined ? () => telemetry.evictions++ : undefined;
      const trips = telemetry.operations.of('read');
      const engine = new CacheEngine({
        store,
        recoveryStore,
        tier,
        waiters,
        keys,
        options: cache,
        trace,
        onEvict,
        trips,
      });
      joinServer(engine, backend, telemetry);
      engine.windows.start();
      return engine;
    },
  },
  {
    provide: CacheSync,
    inject: [BACKEND, KeySpace, CacheEngine, CacheWaiters, OPTIONS],
    useFactory: async (
      { bus, connection }: Backend,
      keys: KeySpace,
      { local, notices }: CacheEngine,
      waiters: CacheWaiters,
      { cache, logLevel }: ResolvedModuleOptions,
    ) => {
      const isWatched = connection !== undefined && cache.coherence === 'tracking';
      const watch = isWatched ? watchOf(connection, keys, local, logLevel) : undefined;
      const sync = new CacheSync({ bus, channels: channelsOf(keys), local, waiters, notices, watch });
      if (connection !== undefined) await sync.start();
      return sync;
    },
  },
  {
    provide: CacheLifecycle,
    inject: [BACKEND, CacheEngine, CacheSync, LockKeeper, IdempotencyService],
    useFactory: (
      backend: Backend,
      engine: CacheEngine,
      sync: CacheSync,
      locks: LockKeeper,
      idempotency: IdempotencyService,
    ) => new CacheLifecycle(backend, engine, sync, [locks, idempotency]),
  },
  {
    provide: KeyService,
    inject: [KeySpace, OPTIONS],
    useFactory: (keys: KeySpace, options: ResolvedModuleOptions) => new KeyService(keys, options.keys),
  },
  {
    provide: CollectionsService,
    inject: [KeySpace, BACKEND, OPTIONS],
    useFactory: (keys: KeySpace, { collections }: Backend, options: ResolvedModuleOptions) =>
      new CollectionsService(keys, collections, localCollections(options)),
  },
  {
    provide: LockKeeper,
    inject: [BACKEND, OPTIONS, Telemetry],
    useFactory: (
      { locks, recoveryLocks, connection }: Backend,
      { logLevel }: ResolvedModuleOptions,
      telemetry: Telemetry,
    ) => {
      const keeper = new LockKeeper(locks, new LeveledLogger('LockService', logLevel), telemetry);
      if (recoveryLocks === undefined) return keeper;
      connection?.onRecovering(({ shard }) => keeper.verify(recoveryLocks, (key) => shard.holds(key)));
      return keeper;
    },
  },
  {
    provide: LockService,
    inject: [LockKeeper, KeySpace, OPTIONS],
    useFactory: (keeper: LockKeeper, keys: KeySpace, { lock }: ResolvedModuleOptions) =>
      new LockService(keeper, keys, lock),
  },
  {
    provide: RateLimitService,
    inject: [BACKEND, OPTIONS, Telemetry],
    useFactory: ({ limits }: Backend, { rateLimit, logLevel }: ResolvedModuleOptions, telemetry: Telemetry) =>
      new RateLimitService(limits, rateLimit, new LeveledLogger('RateLimit', logLevel), telemetry),
  },
  {
    provide: PubSub,
    inject: [BACKEND, KeySpace, OPTIONS],
    useFactory: ({ bus, connection }: Backend, keys: KeySpace, { logLevel }: ResolvedModuleOptions) => {
      const isAvailable = () => connection?.isAvailable ?? true;
      const pubSub = new PubSub(bus, keys, new LeveledLogger('PubSub', logLevel), isAvailable);
      connection?.onStateChange(({ to }) => {
        if (to === 'healthy') pubSub.recovered();
      });
      return pubSub;
    },
  },
  {
    provide: CacheStatsReader,
    inject: [CacheEngine, BACKEND],
    useFactory: (engine: CacheEngine, { connection, keyspace }: Backend) =>
      new CacheStatsReader({ engine, connection, memory: keyspace ?? engine.local.tier }),
  },
  {
    provide: CacheService,
    inject: [
      OPTIONS,
      CacheEngine,
      KeySpace,
      BACKEND,
      CacheStatsReader,
      CollectionsService,
      PubSub,
      LockService,
      RateLimitService,
      TRACING,
    ],
    useFactory: (
      options: ResolvedModuleOptions,
      engine: CacheEngine,
      keys: KeySpace,
      { connection }: Backend,
      stats: CacheStatsReader,
      collections: CollectionsService,
      pubSub: PubSub,
      locks: LockService,
      limits: RateLimitService,
      tracing: Tracing | undefined,
    ) => {
      const { cache, keys: names } = options;
      const services = { collections, pubSub, locks, limits };
      const parts: CacheParts = {
        ...services,
        engine,
        options: cache,
        read: new ReadOptionsResolver(
          cache,
          (message) => new LeveledLogger('Cache', options.logLevel).warn(message),
          engine.metrics.caches,
        ),
        keys,
        separator: names.separator,
        stats,
        connection,
      };
      return tracing === undefined ? new CacheService(parts) : new TracedCacheService(parts, tracing);
    },
  },
  {
    provide: CacheMetricsExporter,
    inject: [CacheEngine, CacheStatsReader, Telemetry, CircuitBreakerService, OPTIONS],
    useFactory: (
      { metrics: cache }: CacheEngine,
      stats: CacheStatsReader,
      telemetry: Telemetry,
      circuits: CircuitBreakerService,
      { metrics, logLevel }: ResolvedModuleOptions,
    ) => {
      const source = new FactsSource({ cache, stats, telemetry, circuits });
      return new CacheMetricsExporter(source, metrics, new LeveledLogger('CacheModule', logLevel));
    },
  },
  {
    provide: CacheHealthIndicator,
    inject: [CacheStatsReader, CircuitBreakerService, OPTIONS, Telemetry],
    useFactory: (
      stats: CacheStatsReader,
      circuits: CircuitBreakerService,
      { health }: ResolvedModuleOptions,
      telemetry: Telemetry,
    ) => new CacheHealthIndicator(stats, circuits, health, telemetry),
  },
  {
    provide: MetricsLog,
    inject: [CacheStatsReader, OPTIONS],
    useFactory: (stats: CacheStatsReader, { metrics, logLevel }: ResolvedModuleOptions) =>
      new MetricsLog(stats, metrics.logEveryMs, new LeveledLogger('CacheMetrics', logLevel)),
  },
  {
    provide: EmfReporter,
    inject: [CacheStatsReader, CircuitBreakerService, OPTIONS],
    useFactory: (stats: CacheStatsReader, circuits: CircuitBreakerService, options: ResolvedModuleOptions) =>
      new EmfReporter({
        ...{ stats, circuits, service: options.keys.prefix },
        everyMs: options.metrics.cloudWatchEveryMs,
      }),
  },
  {
    provide: RateLimitExplorer,
    inject: [ModulesContainer, HttpAdapterHost, RateLimitService, OPTIONS],
    useFactory: (
      modules: ModulesContainer,
      adapters: HttpAdapterHost,
      limits: RateLimitService,
      { logLevel }: ResolvedModuleOptions,
    ) => new RateLimitExplorer(modules, adapters, limits, new LeveledLogger('RateLimit', logLevel)),
  },
  ...adminProviders,
  ServiceExplorer,
  CacheableExplorer,
  LockExplorer,
  CircuitBreakerExplorer,
  {
    provide: RoutePolicies,
    inject: [OPTIONS, CacheEngine],
    useFactory: ({ http, cache }: ResolvedModuleOptions, { metrics }: CacheEngine) =>
      new RoutePolicies({ http, cache, countsOf: (name) => metrics.caches.of(name) }),
  },
  {
    provide: ResponseCacheInterceptor,
    inject: [CacheEngine, KeySpace, OPTIONS, RoutePolicies, Telemetry],
    useFactory: (
      engine: CacheEngine,
      keys: KeySpace,
      { http, cache, logLevel }: ResolvedModuleOptions,
      policies: RoutePolicies,
      { notStored }: Telemetry,
    ) => {
      const logger = new LeveledLogger('ResponseCache', logLevel);
      const warn = (message: string): void => logger.warn(message);
      return openResponseCache({ engine, keys, http, cache, policies, notStored, warn });
    },
  },
  ResponseCacheExplorer,
  {
    provide: IdempotencyService,
    inject: [BACKEND, KeySpace, OPTIONS, Telemetry],
    useFactory: (
      { idempotency: store, recoveryIdempotency, connection }: Backend,
      keys: KeySpace,
      { logLevel }: ResolvedModuleOptions,
      telemetry: Telemetry,
    ) => {
      const logger = new LeveledLogger('Idempotency', logLevel);
      const service = new IdempotencyService({ store, keys, telemetry, logger });
      if (recoveryIdempotency === undefined) return service;
      connection?.onRecovering(({ shard }) => service.verify(recoveryIdempotency, (name) => shard.holds(name)));
      return service;
    },
  },
  {
    provide: IdempotencyInterceptor,
    inject: [IdempotencyService, OPTIONS],
    useFactory: (service: IdempotencyService, { http }: ResolvedModuleOptions) =>
      new IdempotencyInterceptor(service, http),
  },
  IdempotencyExplorer,
  {
    provide: HTTP_CACHE_PARTS,
    inject: [CacheEngine, KeySpace, OPTIONS, Telemetry],
    useFactory: (
      engine: CacheEngine,
      keys: KeySpace,
      { http, cache }: ResolvedModuleOptions,
      telemetry: Telemetry,
    ): HttpCacheParts => ({ engine, keys, http, cache, telemetry }),
  },
];

/** During an outage with `onOutage: 'local'`: bounded like the memory tier, empty at first. */
function localCollections({ redis, collections, cache }: ResolvedModuleOptions): MemoryCollectionsStore | undefined {
  if (redis === null || collections.onOutage === 'reject') return undefined;
  const { maxEntries, maxBytes } = cache.l1;
  return new MemoryCollectionsStore(new MemoryKeyspace({ maxEntries, maxBytes }));
}

/** With `logLevel: 'debug'` every read is logged: its key escaped and cut, never its value. */
function traceOf({ logLevel }: ResolvedModuleOptions, tracing: Tracing | undefined): ReadTrace | undefined {
  const logger = new LeveledLogger('Cache', logLevel);
  const isLogged = logger.isOn('debug');
  if (!isLogged && tracing === undefined) return undefined;
  return (key, outcome, from) => {
    if (isLogged) logger.debug(`${outcome} ${JSON.stringify(key.slice(0, 120))}`);
    tracing?.answered(outcome, from);
  };
}

function watchOf(
  connection: RedisConnection,
  keys: KeySpace,
  local: CacheLocal,
  logLevel: ResolvedModuleOptions['logLevel'],
): CacheWatch {
  const names = { prefixes: watchedPrefixes(keys), beatChannel: keys.internal('beat') };
  const watch = new RedisKeyWatch(connection, names);
  return new CacheWatch({ watch, keys, local, logger: new LeveledLogger('CacheModule', logLevel) });
}

/** In memory mode there is nobody to hear of; with a server the cache follows its outages. */
function joinServer({ local, outage }: CacheEngine, { connection }: Backend, telemetry: Telemetry): void {
  if (connection === undefined) {
    local.tier.trustFor(Number.POSITIVE_INFINITY);
    return;
  }
  for (const shard of connection.shards) if (!shard.isAvailable) outage.begin(shard);
  connection.onLoss((shard) => outage.begin(shard));
  connection.onStateChange(({ to }) => {
    if (to === 'healthy') telemetry.reconnects++;
  });
  connection.onRecovering(({ shard, runIdChanged }) => outage.end({ shard, hasLostData: runIdChanged }));
}
