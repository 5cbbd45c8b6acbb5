import type { Provider } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { ADMIN_CONSOLE, type AdminConsole } from './admin/admin.console.ts';
import { AdminLifecycle } from './admin/admin.lifecycle.ts';
import { AdminPeers } from './admin/admin-peers.ts';
import { type AdminControllers, placeAdminRoutes } from './admin/admin.routes.ts';
import { AdminStatus, instanceName } from './admin/admin-status.ts';
import { AuditTrail } from './admin/audit.ts';
import { BreakerDesk } from './admin/breaker-desk.ts';
import { CacheCatalog } from './admin/cache-catalog.ts';
import { EventFeed } from './admin/event-feed.ts';
import { Strays } from './admin/http/strays.ts';
import { Invalidations } from './admin/invalidations.ts';
import { Jobs } from './admin/jobs.ts';
import { KeyBrowser } from './admin/key-browser.ts';
import { LockDesk } from './admin/lock-desk.ts';
import { Signer } from './admin/signer.ts';
import { VERSION } from './admin/version.ts';
import type { Backend } from './cache.backends.ts';
import type { ResolvedModuleOptions } from './cache.module-options.ts';
import { ADMIN_CONTROLLERS, BACKEND, OPTIONS } from './cache.tokens.ts';
import { CacheEngine } from './cache/cache-engine.ts';
import { CacheStatsReader } from './cache/cache-stats.ts';
import { CacheService } from './cache/cache.service.ts';
import { CircuitBreakerService } from './circuit-breaker/circuit-breaker.service.ts';
import { KeySpace } from './common/keys.ts';
import { LeveledLogger } from './common/leveled-logger.ts';
import { LockService } from './lock/lock.service.ts';
import { MemoryRateLimitStore } from './rate-limit/memory-rate-limit.store.ts';
import { RateLimitService } from './rate-limit/rate-limit.service.ts';

/** What the console is made of, as it is injected. */
type Parts = readonly [
  options: ResolvedModuleOptions,
  backend: Backend,
  engine: CacheEngine,
  keys: KeySpace,
  stats: CacheStatsReader,
  cache: CacheService,
  circuits: CircuitBreakerService,
  locks: LockService,
  limits: RateLimitService,
  modules: ModulesContainer,
];

/** The admin API, and what takes its routes out where it is switched off. */
export const adminProviders: Provider[] = [
  {
    provide: ADMIN_CONSOLE,
    inject: [
      ...[OPTIONS, BACKEND, CacheEngine, KeySpace, CacheStatsReader, CacheService],
      ...[CircuitBreakerService, LockService, RateLimitService, ModulesContainer],
    ],
    useFactory: (...parts: Parts) => openConsole(parts),
  },
  {
    provide: Strays,
    inject: [HttpAdapterHost, ApplicationConfig, OPTIONS],
    useFactory: (host: HttpAdapterHost, config: ApplicationConfig, { admin }: ResolvedModuleOptions) =>
      new Strays(host, config, admin),
  },
  {
    provide: AdminLifecycle,
    inject: [ADMIN_CONSOLE, BACKEND, OPTIONS, ADMIN_CONTROLLERS, ModulesContainer, Strays],
    useFactory: (
      console: AdminConsole,
      { connection }: Backend,
      { admin }: ResolvedModuleOptions,
      controllers: AdminControllers,
      modules: ModulesContainer,
      strays: Strays,
    ) => {
      // Here, because routes are found once all providers are there.
      placeAdminRoutes(controllers, admin, modules);
      return new AdminLifecycle(console, connection, strays);
    },
  },
];

function openConsole([
  options,
  backend,
  engine,
  keys,
  stats,
  cache,
  circuits,
  locks,
  limits,
  modules,
]: Parts): AdminConsole {
  const { bus, connection, inspector, keyspace } = backend;
  const { admin, cache: cacheOptions, logLevel } = options;
  const { separator } = options.keys;
  const feed = new EventFeed();
  const catalog = new CacheCatalog(modules, engine, cacheOptions, separator);
  const browser = new KeyBrowser({ engine, inspector, keys, catalog, isMemory: keyspace !== undefined });
  const instance = instanceName();
  const peers = new AdminPeers(instance, bus, keys.internal('admin'), connection);
  const held = () =>
    keyspace === undefined
      ? engine.local.tier.keys()
      : ownNames(
          keyspace.keys(() => true),
          keys,
        );
  const { maxEntries } = cacheOptions.l1;
  const { windows } = engine;
  return {
    options: admin,
    signer: new Signer(admin.token),
    audit: new AuditTrail(keys.internal('audit'), connection, new LeveledLogger('CacheAudit', logLevel)),
    peers,
    status: new AdminStatus({ instance, version: VERSION, stats, windows, catalog, maxEntries, held, connection }),
    browser,
    invalidations: new Invalidations({ cache, engine, browser, catalog }),
    jobs: new Jobs(),
    breakers: new BreakerDesk(circuits, peers, (event) => feed.tell('breaker', event)),
    feed,
    locks,
    lockDesk: new LockDesk(locks, peers),
    limits,
    // Looking must not write, and an outage is when operators are needed.
    ownLimits: new RateLimitService(new MemoryRateLimitStore()),
  };
}

function* ownNames(fullKeys: Iterable<string>, keys: KeySpace): Iterable<string> {
  for (const key of fullKeys) {
    const name = keys.strip(key);
    if (name !== undefined) yield name;
  }
}
