import type { CacheableOperation } from '../cache/cacheable.decorator.ts';
import { type ResponseScope, ROUTE_RULES } from '../cache/cacheable-route.options.ts';
import type { CacheCounts } from '../cache/cache-metrics.ts';
import type { ResolvedCacheOptions } from '../cache/cache.options.ts';
import type { Coalescing } from '../cache/get-or-set.options.ts';
import { readOptions } from '../common/read-options.ts';
import type { LifetimeDefaults } from './freshness.ts';
import type { ResolvedHttpOptions } from './http.options.ts';
import type { QueryRules } from './request-key.ts';

/** How the responses of one route are cached, everything decided; durations in milliseconds, sizes in bytes. */
export interface RoutePolicy {
  /** `Controller.method` as keys have it. */
  readonly id: string;
  readonly scope: ResponseScope;
  /** Whether the route says for whom it is. */
  readonly hasScope: boolean;
  readonly cookies: 'bypass' | 'ignore' | readonly string[];
  readonly query: QueryRules;
  /** Beside the headers that responses name in `Vary`, lower-case. */
  readonly vary: readonly string[];
  readonly statuses: ReadonlyMap<number, number>;
  readonly lifetime: LifetimeDefaults;
  readonly jitter: number;
  readonly earlyRefresh: number | undefined;
  readonly coalesce: Coalescing;
  readonly browserMs: number | undefined;
  readonly maxBodyBytes: number;
  /** Where it stands among the interceptors of the route. */
  readonly position: 'first' | 'bound';
  readonly counts: CacheCounts;
  readonly operation: CacheableOperation;
}

export interface PolicyDefaults {
  readonly http: ResolvedHttpOptions;
  readonly cache: ResolvedCacheOptions;
  /** What the reads of the cache with this name are counted in. */
  readonly countsOf: (name: string) => CacheCounts;
}

/** What the head of an entry may take beside its body. */
const HEAD_BYTES = 16 * 1024;

/** @param faults what is wrong with the options, one line each */
export function routePolicyOf(
  operation: CacheableOperation,
  id: string,
  { http, cache, countsOf }: PolicyDefaults,
  faults: string[] = [],
): RoutePolicy {
  const read = readOptions({ ...operation.read, ...operation.route }, ROUTE_RULES, faults);
  const scope = (read.scope ?? 'auto') as ResponseScope;
  const { ttl: freshMs = cache.ttlMs, grace: errorMs = cache.graceMs } = read;
  const window = read.staleWhileRevalidate ?? cache.staleWhileRevalidate;
  const earlyRefresh = read.earlyRefresh ?? cache.earlyRefresh;
  return {
    id,
    scope,
    hasScope: read.scope !== undefined,
    cookies: read.cookies ?? (scope === 'auto' ? 'bypass' : 'ignore'),
    query: { only: read.query, ignore: read.ignoreQuery ?? http.ignoreQuery },
    vary: (read.vary ?? []).map((name) => name.toLowerCase()),
    statuses: read.statuses ?? new Map(),
    lifetime: { freshMs, errorMs, revalidateMs: typeof window === 'number' ? window : window ? errorMs : 0 },
    jitter: read.jitter ?? cache.jitter,
    earlyRefresh: earlyRefresh === false ? undefined : earlyRefresh,
    coalesce: read.coalesce ?? cache.coalesce,
    browserMs: read.browser,
    maxBodyBytes: Math.min(read.maxBody ?? http.maxBodyBytes, Math.max(0, cache.maxValueBytes - HEAD_BYTES)),
    position: read.position ?? 'first',
    counts: countsOf(operation.read.name ?? id),
    operation,
  };
}
