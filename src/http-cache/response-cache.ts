import { from, type Observable, of } from 'rxjs';
import { isDue } from '../cache/early-refresh.ts';
import { epochStamp, tagStamp } from '../cache/cache-tags.ts';
import { type Detail, type Forward, type Forwarded, STALE_IF_ERROR } from './cache-status.ts';
import type { Exchange } from './exchange.ts';
import type { ResolvedHttpOptions } from './http.options.ts';
import type { RequestDirectives } from './request-directives.ts';
import type { ResponseFinder, Spot } from './response-finder.ts';
import { ResponseJudge, type Standing } from './response-judge.ts';
import type { Place, ResponsePlaces } from './response-place.ts';
import { HandlerFailure, type RenderOrder, type ResponseRenderer } from './response-renderer.ts';
import type { ResponseServer } from './response-server.ts';
import { startOf } from './response-sink.ts';
import type { ResponseStore } from './response-store.ts';
import { ResponseTurn } from './response-turn.ts';
import type { RoutePolicy } from './route-policy.ts';
import type { StoredResponse } from './stored-response.ts';

export interface ResponseCacheParts {
  readonly http: ResolvedHttpOptions;
  readonly places: ResponsePlaces;
  readonly store: ResponseStore;
  readonly finder: ResponseFinder;
  readonly renderer: ResponseRenderer;
  readonly server: ResponseServer;
  /** Whether responses of this name are cached at all (`cache.rolloutPercent`). */
  readonly isCached: (name: string) => boolean;
}

/** One request that may be answered from the store. */
interface Visit {
  readonly exchange: Exchange;
  readonly policy: RoutePolicy;
  readonly place: Place;
  readonly directives: RequestDirectives;
  /** What its entries are invalidated by, as far as that is known before the handler runs. */
  readonly stampNames: readonly string[];
  /** How often it has waited for a response that was not for it. */
  readonly attempt: number;
}

/** Why a handler runs, and what is served if it fails. */
interface Reason {
  readonly forward: Forward;
  readonly detail?: Detail | undefined;
  readonly stale?: StoredResponse | undefined;
}

const DONE: Observable<undefined> = of(undefined);
const EPOCH = epochStamp('');
const MAX_ATTEMPTS = 3;

/** What unsafe requests to a path invalidate. */
export const pathStamp = (path: string): string => `path:${path}`;

/**
 * The response cache, from top to bottom: may this request be answered from the store → is something there, and good
 * enough → answer it; else it is stale, and made anew behind the client's back; else it is made now, by whoever's turn
 * it is, for all who wait.
 */
export class ResponseCache {
  private readonly judge: ResponseJudge;

  constructor(private readonly parts: ResponseCacheParts) {
    this.judge = new ResponseJudge(parts.http, () => parts.store.now());
  }

  /** What Nest has to send: nothing once the cache has answered. */
  answer(exchange: Exchange, policy: RoutePolicy): Observable<unknown> {
    const { places, finder, server, renderer, isCached } = this.parts;
    const order = { exchange, policy };
    const place = places.of(policy, exchange);
    if (place.kind === 'bypass') return renderer.pass(order, { forward: 'bypass', detail: place.detail }).handle();
    if (!isCached(place.name)) return renderer.pass(order, { forward: 'bypass' }).handle();
    exchange.key = place.name;
    const directives = this.judge.directivesOf(exchange.context, exchange.request.headers);
    if (directives.noStore) {
      return renderer.pass(order, { forward: 'request', isStored: false, detail: 'no-store' }).handle();
    }
    const held = finder.peek(place.name, exchange.request.headers);
    if (held !== undefined && policy.earlyRefresh === undefined) {
      const { fitness, ageMs, ttlMs } = this.judge.standing(held, directives, true);
      if (fitness === 'fits') {
        server.serve(exchange, held, ageMs, ttlMs);
        return DONE;
      }
    }
    const stampNames = stampNamesOf(exchange, policy, place);
    return from(this.lookUp({ exchange, policy, place, directives, stampNames, attempt: 0 }));
  }

  private async lookUp(visit: Visit): Promise<unknown> {
    const { exchange, place, stampNames } = visit;
    const spot = await this.parts.finder.locate(place.name, stampNames, exchange.request.headers);
    if (spot === undefined) return this.pass(visit, { forward: 'bypass', detail: 'vary' });
    const { response } = spot.found;
    if (response === undefined || response.isMark) return this.miss(visit, spot);
    const standing = this.judge.standing(response, visit.directives, spot.found.isFresh);
    switch (standing.fitness) {
      case 'fits':
      case 'fits-stale':
        return this.hit(visit, spot, response, standing);
      case 'reload':
        return this.reload(visit, spot, response, standing);
      case 'stale':
        return this.stale(visit, spot, response, standing);
      default:
        return standing.fitness satisfies never;
    }
  }

  private async hit(visit: Visit, spot: Spot, response: StoredResponse, standing: Standing): Promise<unknown> {
    const { exchange, policy } = visit;
    const { ageMs, ttlMs } = standing;
    const ageing = { earlyRefresh: policy.earlyRefresh, ttlMs: response.draft.freshMs };
    if (ttlMs > 0 && isGet(exchange) && isDue({ remainingMs: ttlMs, costMs: 0 }, ageing)) {
      return this.serveAndRefresh(visit, spot, response, standing);
    }
    this.parts.server.serve(exchange, response, ageMs, ttlMs);
    return undefined;
  }

  private async miss(visit: Visit, spot: Spot): Promise<unknown> {
    const { exchange, directives } = visit;
    if (directives.onlyIfCached) {
      this.parts.server.refuse(exchange);
      return undefined;
    }
    if (spot.found.response === undefined) return this.make(visit, spot, { forward: missOf(spot) });
    const known = await this.parts.finder.known(spot, visit.stampNames);
    // Somebody may have stored a response since this process has seen the mark.
    const isOutdated = known.found.response?.isMark !== true && visit.attempt < MAX_ATTEMPTS;
    if (isOutdated) return this.lookUp({ ...visit, attempt: visit.attempt + 1 });
    return this.make(visit, known, { forward: missOf(spot), detail: 'hit-for-miss' });
  }

  /** Clients may ask for a response that is made for them, but not so often that it is a way around the cache. */
  private async reload(visit: Visit, spot: Spot, response: StoredResponse, standing: Standing): Promise<unknown> {
    const { exchange, directives } = visit;
    const { server } = this.parts;
    if (this.judge.isRecent(spot.name, response)) {
      return standing.ttlMs > 0
        ? this.hit(visit, spot, response, standing)
        : this.stale(visit, spot, response, standing);
    }
    if (directives.onlyIfCached) {
      server.refuse(exchange);
      return undefined;
    }
    const known = await this.parts.finder.known(spot, visit.stampNames);
    const newer = known.found.response;
    if (newer !== undefined && !newer.isMark && this.judge.isRecent(spot.name, newer)) {
      return this.hit(visit, spot, newer, this.judge.standing(newer, directives, true));
    }
    this.judge.reloaded(spot.name);
    const stale = standing.ttlMs > -response.draft.errorMs ? response : undefined;
    return this.make(visit, known, { forward: 'request', stale });
  }

  private async stale(visit: Visit, spot: Spot, response: StoredResponse, standing: Standing): Promise<unknown> {
    const { exchange, directives } = visit;
    const { store, server } = this.parts;
    const { revalidateMs, errorMs, isStaleForbidden } = response.draft;
    const { ageMs, ttlMs } = standing;
    if (-ttlMs < revalidateMs) {
      if (isGet(exchange) && !store.isPaused(spot.name)) return this.serveAndRefresh(visit, spot, response, standing);
      server.serve(exchange, response, ageMs, ttlMs);
      return undefined;
    }
    if (directives.onlyIfCached) {
      server.refuse(exchange);
      return undefined;
    }
    const isExcused = !isStaleForbidden && -ttlMs < (directives.staleIfErrorMs ?? errorMs);
    return this.make(visit, spot, { forward: 'stale', stale: isExcused ? response : undefined });
  }

  /** The client has its answer before the handler runs; the handler's own goes to the store. */
  private async serveAndRefresh(
    visit: Visit,
    spot: Spot,
    response: StoredResponse,
    standing: Standing,
  ): Promise<unknown> {
    const { exchange } = visit;
    const start = startOf(exchange.raw);
    this.parts.server.serveBeforehand(exchange, response, standing.ageMs, standing.ttlMs);
    const known = await this.parts.finder.known(spot, visit.stampNames);
    const turn = new ResponseTurn();
    const outcome = await turn.outcome(this.load(visit, known, turn));
    if (outcome === 'mine') {
      const order = this.renderOrder(visit, known, { forward: 'stale' }, turn);
      return this.parts.renderer.refresh(order, start);
    }
    exchange.markAnswered();
    return undefined;
  }

  /** Made by this request, or by another one of the same key, here or in another process. */
  private async make(visit: Visit, spot: Spot, given: Reason): Promise<unknown> {
    const { exchange } = visit;
    const reason: Reason = spot.found.isAway ? { ...given, detail: 'store-error' } : given;
    const { forward, detail, stale } = reason;
    if (!isGet(exchange)) {
      const outcome = { forward, isStored: false };
      if (stale === undefined) return this.pass(visit, outcome);
      return this.parts.renderer.passUnlessFailed({ exchange, policy: visit.policy, stale }, outcome);
    }
    const turn = new ResponseTurn();
    const outcome = await turn.outcome(this.load(visit, spot, turn));
    if (outcome === 'mine') return this.parts.renderer.render(this.renderOrder(visit, spot, reason, turn));
    if (outcome instanceof HandlerFailure && stale !== undefined) {
      this.parts.server.serveForwarded(exchange, stale, { ...STALE_IF_ERROR, status: outcome.status });
      return undefined;
    }
    if (typeof outcome === 'object' && !(outcome instanceof HandlerFailure) && !outcome.isMark) {
      if (this.parts.finder.isFor(outcome, exchange.request.headers)) {
        this.parts.server.serveForwarded(exchange, outcome, { kind: 'forward', forward, isCollapsed: true });
        return undefined;
      }
      if (visit.attempt < MAX_ATTEMPTS) return this.lookUp({ ...visit, attempt: visit.attempt + 1 });
    }
    return this.pass(visit, { forward, isCollapsed: false, detail });
  }

  private load(visit: Visit, spot: Spot, turn: ResponseTurn): Promise<StoredResponse | HandlerFailure | undefined> {
    const { policy, stampNames } = visit;
    const { name, found } = spot;
    // Where the last response could not be stored, there is nothing to wait for.
    const coalesce = found.response?.isMark === true ? 'off' : policy.coalesce;
    const loading = this.parts.store.load({
      name,
      stampNames,
      found,
      coalesce,
      counts: policy.counts,
      render: () => turn.take(),
    });
    return loading.catch((error: unknown) => (error instanceof HandlerFailure ? error : undefined));
  }

  private renderOrder(visit: Visit, spot: Spot, { forward, detail, stale }: Reason, turn: ResponseTurn): RenderOrder {
    const { exchange, policy, place } = visit;
    const { response } = spot.found;
    return {
      ...{ exchange, policy, place, turn, forward, detail, stale },
      id: response?.isMark === true ? undefined : response?.draft.id,
      marksFailure: response === undefined || response.isMark,
      onStored: () => void this.parts.finder.added(spot),
    };
  }

  private pass(visit: Visit, outcome: Forwarded): Promise<unknown> {
    return this.parts.renderer.pass(visit, outcome).run();
  }
}

const missOf = ({ parent }: Spot): Forward => (parent === undefined ? 'uri-miss' : 'vary-miss');

const isGet = ({ request }: Exchange): boolean => request.method === 'GET';

/** The epoch of the cache, the path for unsafe requests, and the tags that the request tells. */
function stampNamesOf({ request }: Exchange, { operation }: RoutePolicy, { path }: Place): readonly string[] {
  const { tags, read, declaration } = operation;
  const fixed = Array.isArray(read.tags) ? (read.tags as readonly string[]) : [];
  const early = tags === undefined || tags.needResult ? [] : tags.of({ name: declaration.name, args: [], request });
  return [EPOCH, pathStamp(path), ...[...fixed, ...early].map(tagStamp)];
}
