import type { ResolvedModuleOptions } from './cache.module-options.ts';
import type { CacheEntry } from './cache/cache-entry.ts';
import type { CacheStore } from './cache/cache-store.interface.ts';
import type { CacheWaiters } from './cache/cache-waiters.ts';
import type { CacheInspector } from './cache/cache-inspector.interface.ts';
import { MeasuredCacheStore } from './cache/measured-cache.store.ts';
import { MemoryCacheInspector } from './cache/memory-cache.inspector.ts';
import { MemoryCacheStore } from './cache/memory-cache.store.ts';
import type { MemoryTierOptions } from './cache/memory-tier.ts';
import { RedisCacheInspector } from './cache/redis-cache.inspector.ts';
import { RedisCacheStore, type CacheChannels } from './cache/redis-cache.store.ts';
import type { CircuitBreakerService } from './circuit-breaker/circuit-breaker.service.ts';
import type { CollectionsStore } from './collections/collections-store.interface.ts';
import { MemoryCollectionsStore } from './collections/memory-collections.store.ts';
import { RedisCollectionsStore } from './collections/redis-collections.store.ts';
import { systemClock } from './common/clock.ts';
import type { KeySpace } from './common/keys.ts';
import { LeveledLogger } from './common/leveled-logger.ts';
import { MemoryKeyspace } from './common/memory-keyspace.ts';
import type { Telemetry } from './common/telemetry.ts';
import type { IdempotencyStore } from './idempotency/idempotency-store.interface.ts';
import { MemoryIdempotencyStore } from './idempotency/memory-idempotency.store.ts';
import { RedisIdempotencyStore } from './idempotency/redis-idempotency.store.ts';
import type { LockStore } from './lock/lock-store.interface.ts';
import { MemoryLockStore } from './lock/memory-lock.store.ts';
import { RedisLockStore } from './lock/redis-lock.store.ts';
import { MemoryMessageBus } from './message-bus/memory-message-bus.ts';
import type { MessageBus } from './message-bus/message-bus.interface.ts';
import { RedisMessageBus } from './message-bus/redis-message-bus.ts';
import { LimitNotices } from './rate-limit/limit-notices.ts';
import { MemoryRateLimitStore } from './rate-limit/memory-rate-limit.store.ts';
import type { RateLimitStore } from './rate-limit/rate-limit-store.interface.ts';
import { RedisRateLimitStore } from './rate-limit/redis-rate-limit.store.ts';
import { SharedLimits } from './rate-limit/shared-limits.ts';
import { RedisConnection } from './redis/redis.connection.ts';
import type { ResolvedRedisOptions } from './redis/redis.options.ts';

/** Where each capability keeps its data: one server, or this process. */
export interface Backend {
  readonly cache: CacheStore;
  /** The same through the door for recovery; undefined in memory mode. */
  readonly recoveryCache: CacheStore | undefined;
  /** Bounds of the memory tier in front of the cache store. */
  readonly tier: MemoryTierOptions;
  readonly collections: CollectionsStore;
  readonly locks: LockStore;
  /** The same through the door for recovery; undefined in memory mode. */
  readonly recoveryLocks: LockStore | undefined;
  readonly limits: RateLimitStore | SharedLimits;
  readonly idempotency: IdempotencyStore;
  /** The same through the door for recovery; undefined in memory mode. */
  readonly recoveryIdempotency: IdempotencyStore | undefined;
  readonly bus: MessageBus;
  /** Looks at what is stored, for operators. */
  readonly inspector: CacheInspector;
  /** What memory mode keeps its data in. */
  readonly keyspace: MemoryKeyspace<CacheEntry> | undefined;
  /** Undefined in memory mode. */
  readonly connection: RedisConnection | undefined;
  close(): Promise<void>;
}

export interface BackendOptions {
  readonly options: ResolvedModuleOptions;
  readonly keys: KeySpace;
  readonly circuits: CircuitBreakerService;
  readonly waiters: CacheWaiters;
  readonly channels: Channels;
  readonly telemetry: Telemetry;
}

export interface Channels extends CacheChannels {
  /** What each process adds its own name to, to hear of locks that are handed to it. */
  readonly handOff: string;
  /** Tells of counts that were changed by hand. */
  readonly limits: string;
}

export const channelsOf = (keys: KeySpace): Channels => ({
  wake: keys.internal('wake'),
  notice: keys.internal('notice'),
  handOff: keys.internal('lock-hand-off'),
  limits: keys.internal('limit-notice'),
});

/** Opens what the options ask for. With a server that does not answer it goes on without, after the boot budget. */
export async function openBackend(parts: BackendOptions): Promise<Backend> {
  const { redis } = parts.options;
  return redis === null ? openMemory(parts) : openServer(redis, parts);
}

function openMemory({ options, waiters, telemetry }: BackendOptions): Backend {
  const { maxEntries, maxBytes, ttlMs } = options.cache.l1;
  // The tier in front holds a part of the same entries, ready to be served, so the bounds are shared out.
  const tier = { maxEntries: Math.floor(maxEntries / 4), maxBytes: Math.floor(maxBytes / 4), ttlMs };
  const keyspace = new MemoryKeyspace<CacheEntry>(
    { maxEntries, maxBytes: maxBytes - tier.maxBytes },
    systemClock,
    () => telemetry.evictions++,
  );
  const bus = new MemoryMessageBus();
  keyspace.startSweeping();
  const idempotency = new MemoryIdempotencyStore().startSweeping();
  return {
    cache: new MeasuredCacheStore(new MemoryCacheStore(keyspace, systemClock, (key) => waiters.wake(key)), telemetry),
    recoveryCache: undefined,
    tier,
    collections: new MemoryCollectionsStore(keyspace),
    locks: new MemoryLockStore(),
    recoveryLocks: undefined,
    limits: new MemoryRateLimitStore(),
    idempotency,
    recoveryIdempotency: undefined,
    bus,
    inspector: new MemoryCacheInspector(keyspace, systemClock),
    keyspace,
    connection: undefined,
    async close() {
      keyspace.stopSweeping();
      idempotency.stopSweeping();
      await bus.close();
    },
  };
}

async function openServer(redis: ResolvedRedisOptions, parts: BackendOptions): Promise<Backend> {
  const { options, circuits, channels, telemetry } = parts;
  const breaker = { circuits, options: options.circuitBreaker.server };
  const connection = new RedisConnection(redis, new LeveledLogger('CacheModule', options.logLevel), breaker);
  await connection.connect();
  const bus = new RedisMessageBus(connection);
  return {
    cache: new MeasuredCacheStore(new RedisCacheStore(connection, channels), telemetry),
    recoveryCache: new RedisCacheStore(connection.duringRecovery, channels),
    tier: options.cache.l1,
    collections: new RedisCollectionsStore(connection),
    locks: new RedisLockStore(connection, bus, channels.handOff),
    recoveryLocks: new RedisLockStore(connection.duringRecovery, bus, channels.handOff),
    limits: await sharedLimits(parts, connection, bus),
    idempotency: new RedisIdempotencyStore(connection),
    recoveryIdempotency: new RedisIdempotencyStore(connection.duringRecovery),
    bus,
    inspector: new RedisCacheInspector(connection),
    keyspace: undefined,
    connection,
    async close() {
      await bus.close();
      await connection.close();
    },
  };
}

/** Limits that make good, before anybody else is let in, what the server has missed. */
async function sharedLimits(
  { keys, options, channels }: BackendOptions,
  connection: RedisConnection,
  bus: MessageBus,
): Promise<SharedLimits> {
  const store = new RedisRateLimitStore(keys, connection, connection.duringRecovery);
  const notices = new LimitNotices(bus, channels.limits);
  const limits = new SharedLimits(store, options.rateLimit.instances, (quotaId, subject) =>
    notices.send(quotaId, subject),
  );
  connection.onRecovering(({ shard, runIdChanged }) =>
    limits.recover({ hasLostData: runIdChanged, concerns: (quota, subject) => store.isOn(shard, quota, subject) }),
  );
  await notices.follow(limits);
  return limits;
}
