import type { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { CacheAnnouncer } from '../http-cache/cache-announcer.ts';
import { Digests } from '../http-cache/digests.ts';
import type { HttpCacheParts } from '../http-cache/response-cache.parts.ts';
import { ResponseFinder } from '../http-cache/response-finder.ts';
import { ResponseMaker } from '../http-cache/response-maker.ts';
import { ResponseServer } from '../http-cache/response-server.ts';
import { rolloutOf } from '../http-cache/rollout.ts';
import { ResponseStore } from '../http-cache/response-store.ts';
import { Answerer } from './answerer.ts';
import { GatewayCache } from './gateway-cache.ts';
import type { ResolvedGatewayOptions, ResolvedUpstreamCache } from './gateway.options.ts';
import { GatewayService } from './gateway.service.ts';
import { ReceivedResponses } from './received-responses.ts';
import { Upstream } from './upstream.ts';
import { type Undici, UpstreamClient } from './upstream-client.ts';

export interface GatewayParts {
  readonly options: ResolvedGatewayOptions;
  readonly parts: HttpCacheParts;
  readonly circuits: CircuitBreakerService;
  readonly undici: Undici;
}

/** What the head of an entry may take beside its body. */
const HEAD_BYTES = 16 * 1024;

/** The gateway of an application, put together on what its cache stands on. */
export function openGateway({ options, parts, circuits, undici }: GatewayParts): GatewayService {
  const { engine, keys, http, cache, telemetry } = parts;
  const counts = engine.metrics.caches.of('gateway');
  const digests = new Digests(http.secret);
  const store = new ResponseStore(engine, keys, http.lookupBudgetMs);
  const maker = new ResponseMaker(http, digests, () => store.now());
  const announcer = new CacheAnnouncer(http);
  const answerer = new Answerer(announcer);
  const maxBodyBytes = ({ maxBodyBytes: own }: ResolvedUpstreamCache): number =>
    Math.min(own ?? http.maxBodyBytes, Math.max(0, cache.maxValueBytes - HEAD_BYTES));
  const upstreams = [...options.upstreams].map(([name, upstream]) => {
    const client = new UpstreamClient(undici, upstream);
    return [name, new Upstream({ name, options: upstream, client, circuits })] as const;
  });
  return new GatewayService({
    ...{ name: options.name, upstreams: new Map(upstreams), answerer, telemetry, counts },
    isCacheOn: cache.enabled,
    cache: new GatewayCache({
      ...{ http, digests, store, maker, answerer, maxBodyBytes, counts },
      ...{ isCached: rolloutOf(cache, keys), notStored: telemetry.notStored },
      finder: new ResponseFinder(store, maker),
      received: new ReceivedResponses({ maker, maxBodyBytes, jitter: cache.jitter, now: () => store.now() }),
      server: new ResponseServer(announcer),
    }),
  });
}
