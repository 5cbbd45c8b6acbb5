import { versionOf } from '../lib/packages.mjs';
import asyncCacheDedupe from './async-cache-dedupe.mjs';
import bentocache from './bentocache.mjs';
import cacheManager from './cache-manager.mjs';
import cockatiel from './cockatiel.mjs';
import layeredLoader from './layered-loader.mjs';
import limitedRoutes from './limited-routes.mjs';
import limits from './limits.mjs';
import locks from './locks.mjs';
import lruCache from './lru-cache.mjs';
import nestjsKeep from './nestjs-keep.mjs';
import opossum from './opossum.mjs';
import rawMemory from './raw-memory.mjs';
import rawServer from './raw-server.mjs';

const adapters = [
  rawMemory,
  rawServer,
  nestjsKeep,
  lruCache,
  layeredLoader,
  cacheManager,
  bentocache,
  asyncCacheDedupe,
  locks,
  limits,
  limitedRoutes,
  opossum,
  cockatiel,
];

/**
 * Everything that does a job: `[{ name, build }]`, with what is built described in README.md.
 * @param job 'memory', 'server', 'tiered', 'lock', 'limit' or 'breaker', and more of the kind
 */
export const contenders = (job) =>
  adapters.flatMap((adapter) => Object.entries(adapter[job] ?? {}).map(([name, build]) => ({ name, build })));

/** `name version` of each package that takes part. */
export const versions = () =>
  adapters.flatMap(({ packages = [] }) => packages.map((name) => `${name} ${versionOf(name)}`));
