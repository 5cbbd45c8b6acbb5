export { CacheModule } from './cache.module.ts';
export type { CacheModuleOptions, MetricsOptions } from './cache.module-options.ts';
export type { CacheModuleOptionsFactory } from './cache.module-definition.ts';
export { cacheConfig } from './cache.config.ts';

export { CacheService } from './cache/cache.service.ts';
export { KeyService } from './cache/key.service.ts';
export type { CacheOptions, Coalescing, MemoryTierOptions } from './cache/cache.options.ts';
export type { GetOrSetOptions, SetOptions } from './cache/get-or-set.options.ts';
export type { Factory, FactoryContext } from './cache/cache-factory.ts';
export type { CacheMetricsSnapshot as CacheMetrics } from './cache/cache-metrics.ts';
export type { CacheStats } from './cache/cache-stats.ts';
export type { Loaded, WarmEntry, WarmReport } from './cache/cache-batch.ts';
