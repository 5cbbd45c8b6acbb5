import type { CacheEngine } from '../cache/cache-engine.ts';
import type { ResolvedCacheOptions } from '../cache/cache.options.ts';
import type { ByName } from '../common/by-name.ts';
import type { KeySpace } from '../common/keys.ts';
import type { Telemetry } from '../common/telemetry.ts';
import { CacheAnnouncer } from './cache-announcer.ts';
import { Digests } from './digests.ts';
import type { ResolvedHttpOptions } from './http.options.ts';
import { pathStamp, ResponseCache } from './response-cache.ts';
import { ResponseCacheInterceptor } from './response-cache.interceptor.ts';
import { ResponseFinder } from './response-finder.ts';
import { rolloutOf } from './rollout.ts';
import { ResponseMaker } from './response-maker.ts';
import { ResponsePlaces } from './response-place.ts';
import { ResponseRenderer } from './response-renderer.ts';
import { ResponseServer } from './response-server.ts';
import { ResponseStore } from './response-store.ts';
import type { RoutePolicies } from './route-policies.ts';

/** What the response cache of an application stands on, for others that cache responses in it. */
export const HTTP_CACHE_PARTS = Symbol.for('nestjs-keep:http-cache-parts');

export interface HttpCacheParts {
  readonly engine: CacheEngine;
  readonly keys: KeySpace;
  readonly http: ResolvedHttpOptions;
  readonly cache: ResolvedCacheOptions;
  readonly telemetry: Telemetry;
}

export interface ResponseCacheOptions {
  readonly engine: CacheEngine;
  readonly keys: KeySpace;
  readonly http: ResolvedHttpOptions;
  readonly cache: ResolvedCacheOptions;
  readonly policies: RoutePolicies;
  /** Responses that were not kept, by the reason. */
  readonly notStored: ByName<{ n: number }>;
  readonly warn: (message: string) => void;
}

/** The response cache of an application, put together. */
export function openResponseCache(options: ResponseCacheOptions): ResponseCacheInterceptor {
  const { engine, keys, http, cache, policies, notStored, warn } = options;
  const digests = new Digests(http.secret);
  const store = new ResponseStore(engine, keys, http.lookupBudgetMs);
  const maker = new ResponseMaker(http, digests, () => store.now());
  const announcer = new CacheAnnouncer(http);
  const responses = new ResponseCache({
    ...{ http, store, isCached: rolloutOf(cache, keys) },
    places: new ResponsePlaces(http, digests),
    finder: new ResponseFinder(store, maker),
    renderer: new ResponseRenderer({ maker, announcer, notStored, warn }),
    server: new ResponseServer(announcer),
  });
  const invalidate = (paths: readonly string[]): Promise<void> => store.invalidate(paths.map(pathStamp));
  return new ResponseCacheInterceptor({
    ...{ cache: responses, policies, isEnabled: cache.enabled },
    invalidate: http.invalidateOnUnsafe ? invalidate : undefined,
  });
}
