import type { CacheCounts } from '../cache/cache-metrics.ts';
import type { ByName } from '../common/by-name.ts';
import { STALE_IF_ERROR, type Forwarded } from '../http-cache/cache-status.ts';
import type { Digests } from '../http-cache/digests.ts';
import type { ResolvedHttpOptions } from '../http-cache/http.options.ts';
import type { RequestDirectives } from '../http-cache/request-directives.ts';
import type { ResponseFinder, Spot } from '../http-cache/response-finder.ts';
import { ResponseJudge, type Standing } from '../http-cache/response-judge.ts';
import type { ResponseMaker } from '../http-cache/response-maker.ts';
import { HandlerFailure } from '../http-cache/response-renderer.ts';
import type { ResponseServer } from '../http-cache/response-server.ts';
import type { Rendered, ResponseStore } from '../http-cache/response-store.ts';
import { ResponseTurn } from '../http-cache/response-turn.ts';
import {
  type CacheOutcome,
  type Detail,
  type Forward,
  headerOf,
  isConditional,
  isNotModified,
  isUnsafe,
} from '../http-cache/semantics.ts';
import type { StoredResponse } from '../http-cache/stored-response.ts';
import type { Answerer } from './answerer.ts';
import type { ForwardedCall, Received } from './forwarded-call.ts';
import { isGatewayError } from './gateway.errors.ts';
import type { ResolvedUpstreamCache } from './gateway.options.ts';
import { type GatewayPlace, outdatedBy, placeOf } from './gateway-place.ts';
import { conditionsFor, type MadeResponse, type ReceivedResponses } from './received-responses.ts';
import { recordedBody, TeedBody } from './teed-body.ts';
import { discard } from './upstream.ts';

export interface GatewayCacheParts {
  readonly http: ResolvedHttpOptions;
  readonly digests: Digests;
  readonly store: ResponseStore;
  readonly finder: ResponseFinder;
  readonly maker: ResponseMaker;
  readonly received: ReceivedResponses;
  readonly server: ResponseServer;
  readonly answerer: Answerer;
  readonly maxBodyBytes: (cache: ResolvedUpstreamCache) => number;
  readonly counts: CacheCounts;
  /** Responses that were not kept, by the reason. */
  readonly notStored: ByName<{ n: number }>;
  /** Whether responses of this name are cached at all. */
  readonly isCached: (name: string) => boolean;
}

/** One request that may be answered from the store. */
interface Visit {
  readonly call: ForwardedCall;
  readonly cache: ResolvedUpstreamCache;
  readonly place: GatewayPlace;
  readonly directives: RequestDirectives;
  /** Aborts when the client goes. */
  readonly signal: AbortSignal;
  /** How often it has waited for a response that was not for it. */
  readonly attempt: number;
}

/** Why the upstream is asked. */
interface Reason {
  readonly forward: Forward;
  readonly detail?: Detail | undefined;
  /** What may be asked about. */
  readonly known?: StoredResponse | undefined;
  /** What is served if there is no better answer. */
  readonly stale?: StoredResponse | undefined;
}

/** Failures that a stale response may hide (RFC 5861 section 4). */
const FAILURES: ReadonlySet<number> = new Set([500, 502, 503, 504]);
const MAX_ATTEMPTS = 3;
/** Nobody waits for a refresh in the background. */
const NEVER = new AbortController().signal;

/**
 * The cache in front of the upstreams, from top to bottom: may this request be answered from the store → is something
 * there, and good enough → answer it; else ask the upstream, whether what is there is still right or for all of it, one
 * request for all who wait. It decides by the same rules and keeps its entries in the same store as the response cache
 * of routes; what it asks is not a handler but a server of its own mind (RFC 9111).
 */
export class GatewayCache {
  private readonly judge: ResponseJudge;

  constructor(private readonly parts: GatewayCacheParts) {
    this.judge = new ResponseJudge(parts.http, () => parts.store.now());
  }

  /** @throws GatewayError when there is no answer, ClientGoneError when nobody wants it */
  async answer(call: ForwardedCall, cache: ResolvedUpstreamCache, signal: AbortSignal): Promise<void> {
    const { method } = call;
    if (method !== 'GET' && method !== 'HEAD') return this.change(call, signal);
    const { http, digests, finder, isCached } = this.parts;
    const place = placeOf(call, { ignore: http.ignoreQuery }, digests);
    if (place.kind === 'bypass') return this.pass(call, signal, { forward: 'bypass', detail: place.detail });
    if (!isCached(place.name)) return this.pass(call, signal, { forward: 'bypass' });
    const directives = this.judge.directivesOf(call.exchange.context, call.asked);
    if (directives.noStore) return this.pass(call, signal, { forward: 'request', isStored: false, detail: 'no-store' });
    const visit: Visit = { call, cache, place, directives, signal, attempt: 0 };
    const held = finder.peek(place.name, call.asked);
    if (held === undefined || !this.parts.received.isFor(held, call.asked)) return this.lookUp(visit);
    const standing = this.judge.standing(held, directives, true);
    if (standing.fitness !== 'fits') return this.lookUp(visit);
    this.serve(visit, held, standing);
  }

  /** What was read before a change that succeeded is out of date (RFC 9111 section 4.4). */
  private async change(call: ForwardedCall, signal: AbortSignal): Promise<void> {
    const { answerer, store, http } = this.parts;
    const received = await call.forward(signal);
    const outdated = isUnsafe(call.method) && http.invalidateOnUnsafe ? outdatedBy(call, received) : [];
    if (outdated.length > 0) await store.invalidate(outdated);
    answerer.pass(call, received);
  }

  private async lookUp(visit: Visit): Promise<void> {
    const { call, place, directives } = visit;
    const { finder, received } = this.parts;
    const spot = await finder.locate(place.name, place.stampNames, call.asked);
    if (spot === undefined) return this.pass(call, visit.signal, { forward: 'bypass', detail: 'vary' });
    const { response } = spot.found;
    if (response === undefined || response.isMark) return this.miss(visit, spot);
    if (!received.isFor(response, call.asked)) {
      const detail = call.asked['authorization'] === undefined ? 'cookie' : 'authorization';
      return this.pass(call, visit.signal, { forward: 'bypass', detail });
    }
    const standing = this.judge.standing(response, directives, spot.found.isFresh);
    switch (standing.fitness) {
      case 'fits':
      case 'fits-stale': {
        this.serve(visit, response, standing);
        return;
      }
      case 'reload':
        return this.reload(visit, spot, response, standing);
      case 'stale':
        return this.stale(visit, spot, response, standing);
      default:
        return standing.fitness satisfies never;
    }
  }

  private async miss(visit: Visit, spot: Spot): Promise<void> {
    if (visit.directives.onlyIfCached) {
      this.parts.server.refuse(visit.call.exchange);
      return;
    }
    const forward: Forward = spot.parent === undefined ? 'uri-miss' : 'vary-miss';
    if (spot.found.response === undefined) return this.ask(visit, spot, { forward });
    const known = await this.parts.finder.known(spot, visit.place.stampNames);
    // Somebody may have stored a response since this process has seen the mark.
    const isOutdated = known.found.response?.isMark !== true && visit.attempt < MAX_ATTEMPTS;
    if (isOutdated) return this.lookUp({ ...visit, attempt: visit.attempt + 1 });
    return this.ask(visit, known, { forward, detail: 'hit-for-miss' });
  }

  /** Clients may have the upstream asked, but not so often that it is a way around the cache. */
  private async reload(visit: Visit, spot: Spot, response: StoredResponse, standing: Standing): Promise<void> {
    const { directives, call } = visit;
    const { server } = this.parts;
    if (standing.ttlMs > 0 && this.judge.isRecent(spot.name, response)) {
      this.serve(visit, response, standing);
      return;
    }
    if (directives.onlyIfCached) {
      server.refuse(call.exchange);
      return;
    }
    const known = await this.parts.finder.known(spot, visit.place.stampNames);
    this.judge.reloaded(spot.name);
    const stale = this.isExcused(response, standing, directives) ? response : undefined;
    return this.ask(visit, known, { forward: 'request', known: response, stale });
  }

  private async stale(visit: Visit, spot: Spot, response: StoredResponse, standing: Standing): Promise<void> {
    const { directives, call } = visit;
    if (-standing.ttlMs < response.draft.revalidateMs) {
      this.serve(visit, response, standing);
      // The client does not wait for it; what fails is tried again after a pause.
      if (call.method === 'GET' && !this.parts.store.isPaused(spot.name)) void this.refresh(visit, spot, response);
      return;
    }
    if (directives.onlyIfCached) {
      this.parts.server.refuse(call.exchange);
      return;
    }
    const stale = this.isExcused(response, standing, directives) ? response : undefined;
    return this.ask(visit, spot, { forward: 'stale', known: response, stale });
  }

  private serve({ call }: Visit, response: StoredResponse, { ageMs, ttlMs }: Standing): void {
    this.parts.server.serve(call.exchange, response, ageMs, ttlMs);
  }

  /** The client has its answer; one request in the whole cluster asks whether it is still right. */
  private async refresh(visit: Visit, spot: Spot, response: StoredResponse): Promise<void> {
    const known = await this.parts.finder.known(spot, visit.place.stampNames);
    const render = async (): Promise<Rendered | undefined> => {
      const answer = await this.revalidated(visit, { forward: 'stale', known: response }, NEVER);
      if (answer.kind === 'renewed') return answer.made.rendered;
      const { received } = answer;
      if (FAILURES.has(received.status)) {
        discard(received);
        throw new HandlerFailure(received.status);
      }
      if (answer.fault === undefined) return (await this.recorded(visit, spot, received))?.rendered;
      discard(received);
      return undefined;
    };
    await this.load(visit, known, render);
  }

  /** Asked by this request, or by another one for the same key, here or in another process. */
  private async ask(visit: Visit, spot: Spot, given: Reason): Promise<void> {
    const { call, signal } = visit;
    const { server, finder, received } = this.parts;
    const reason: Reason = spot.found.isAway ? { ...given, detail: 'store-error' } : given;
    const { forward, stale, detail } = reason;
    if (call.method !== 'GET') return this.head(visit, reason);
    const turn = new ResponseTurn();
    const outcome = await turn.outcome(this.load(visit, spot, () => turn.take()));
    if (outcome === 'mine') return this.lead(visit, spot, reason, turn);
    if (outcome instanceof HandlerFailure && stale !== undefined) {
      server.serveForwarded(call.exchange, stale, { ...STALE_IF_ERROR, status: outcome.status });
      return;
    }
    if (typeof outcome === 'object' && !(outcome instanceof HandlerFailure) && !outcome.isMark) {
      if (received.isShared(outcome) && received.isFor(outcome, call.asked) && finder.isFor(outcome, call.asked)) {
        server.serveForwarded(call.exchange, outcome, { kind: 'forward', forward, isCollapsed: true });
        return;
      }
      if (visit.attempt < MAX_ATTEMPTS) return this.lookUp({ ...visit, attempt: visit.attempt + 1 });
    }
    return this.pass(call, signal, { forward, isCollapsed: false, detail });
  }

  /** It is this request's turn: the client gets the answer as it comes, the store a copy. */
  private async lead(visit: Visit, spot: Spot, reason: Reason, turn: ResponseTurn): Promise<void> {
    const { call, signal } = visit;
    const { server, answerer } = this.parts;
    const { stale, forward, detail } = reason;
    const asking = new AbortController();
    const leave = (): void => asking.abort(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, { once: true });
    const answer = await this.revalidated(visit, reason, asking.signal).catch((error: unknown) => {
      turn.done(Promise.reject(new HandlerFailure(statusOf(error))));
      if (stale === undefined || !isGatewayError(error) || error.getStatus() < 500) throw error;
      return { kind: 'failed', status: error.getStatus(), stale } as const;
    });
    // From here on the body itself knows what to do when the client goes.
    signal.removeEventListener('abort', leave);
    if (answer.kind === 'failed') {
      server.serveForwarded(call.exchange, answer.stale, { ...STALE_IF_ERROR, status: answer.status });
      return;
    }
    if (answer.kind === 'renewed') {
      turn.done(answer.made.rendered);
      const outcome = { kind: 'forward', forward, status: 304, isStored: true } as const;
      server.serveForwarded(call.exchange, answer.made.response, outcome);
      return;
    }
    const { received, fault } = answer;
    const isFailure = FAILURES.has(received.status);
    if (isFailure && stale !== undefined) {
      discard(received);
      turn.done(Promise.reject(new HandlerFailure(received.status)));
      server.serveForwarded(call.exchange, stale, { ...STALE_IF_ERROR, status: received.status });
      return;
    }
    if (fault !== undefined) {
      turn.done(isFailure ? Promise.reject(new HandlerFailure(received.status)) : this.markFor(spot, received));
      const isMarked = detail === 'hit-for-miss' || detail === 'store-error';
      const outcome: Forwarded = isMarked ? { forward: 'bypass', detail } : { forward, isStored: false, detail: fault };
      answerer.answer(call, received, { kind: 'forward', ...outcome });
      return;
    }
    const outcome: Forwarded = detail === 'store-error' ? { forward: 'bypass', detail } : { forward, isStored: true };
    this.answerAndStore(visit, spot, received, { outcome: { kind: 'forward', ...outcome }, turn });
  }

  private answerAndStore(
    visit: Visit,
    spot: Spot,
    received: Received,
    { outcome, turn }: { readonly outcome: CacheOutcome; readonly turn: ResponseTurn },
  ): void {
    const { call, cache } = visit;
    const { exchange } = call;
    const conditions = exchange.conditions;
    const isUnchanged =
      received.status === 200 && isConditional(conditions) && isNotModified(conditions, received.headers);
    if (isUnchanged) {
      turn.done(this.recorded(visit, spot, received).then((made) => made?.rendered));
      this.parts.answerer.notModified(call, received, outcome);
      return;
    }
    const body = new TeedBody(received.body, this.teeOf(received, cache));
    turn.done(body.recorded.then((recorded) => this.made(visit, spot, received, recorded)?.rendered));
    this.parts.answerer.answer(call, { ...received, body }, outcome);
  }

  /** What the upstream says to somebody who has a copy of the response already, or to anybody else. */
  private async revalidated(
    { call, cache }: Visit,
    { known, detail }: Reason,
    signal: AbortSignal,
  ): Promise<
    | { readonly kind: 'renewed'; readonly made: MadeResponse }
    | { readonly kind: 'new'; readonly received: Received; readonly fault: Detail | undefined }
  > {
    // What will not be stored need not be asked for as a whole.
    const isPlain = detail === 'hit-for-miss';
    const received = isPlain ? await call.forward(signal) : await call.revalidate(conditionsFor(known), signal);
    if (known !== undefined && received.status === 304 && !isPlain) {
      received.body.resume();
      return { kind: 'renewed', made: this.parts.received.renewed(known, received, call, cache) };
    }
    const fault = this.parts.received.faultOf(received, call, cache);
    if (fault !== undefined) this.parts.notStored.of(fault).n++;
    return { kind: 'new', received, fault };
  }

  private async recorded(visit: Visit, spot: Spot, received: Received): Promise<MadeResponse | undefined> {
    const recorded = await recordedBody(received.body, this.teeOf(received, visit.cache));
    return this.made(visit, spot, received, recorded);
  }

  private made(
    { call, cache }: Visit,
    spot: Spot,
    received: Received,
    recorded: Awaited<TeedBody['recorded']>,
  ): MadeResponse | undefined {
    const { response } = spot.found;
    const id = response?.isMark === true ? undefined : response?.draft.id;
    const made = this.parts.received.made(received, recorded, call, { cache, id });
    if (typeof made === 'string') {
      this.parts.notStored.of(made).n++;
      return undefined;
    }
    void this.parts.finder.added(spot);
    return made;
  }

  private teeOf({ headers }: Received, cache: ResolvedUpstreamCache) {
    const length = headerOf(headers, 'content-length');
    return { maxBytes: this.parts.maxBodyBytes(cache), length: length === undefined ? undefined : Number(length) };
  }

  /** A HEAD that the store cannot answer is not stored either. */
  private async head({ call, signal }: Visit, { forward, stale }: Reason): Promise<void> {
    const { server, answerer } = this.parts;
    try {
      const received = await call.forward(signal);
      if (stale === undefined || !FAILURES.has(received.status)) {
        answerer.answer(call, received, { kind: 'forward', forward, isStored: false });
        return;
      }
      discard(received);
      server.serveForwarded(call.exchange, stale, { ...STALE_IF_ERROR, status: received.status });
    } catch (error) {
      if (stale === undefined || !isGatewayError(error) || error.getStatus() < 500) throw error;
      server.serveForwarded(call.exchange, stale, { ...STALE_IF_ERROR, status: error.getStatus() });
    }
  }

  private async pass(call: ForwardedCall, signal: AbortSignal, outcome: Forwarded): Promise<void> {
    this.parts.answerer.answer(call, await call.forward(signal), { kind: 'forward', ...outcome });
  }

  /** Tells the others that there is nothing to wait for. */
  private markFor({ found }: Spot, { status }: Received): Rendered | undefined {
    const isOurs = found.response === undefined || found.response.isMark;
    return isOurs && status < 400 ? this.parts.maker.mark() : undefined;
  }

  private load(
    { place }: Visit,
    { name, found }: Spot,
    render: () => Promise<Rendered | undefined>,
  ): Promise<StoredResponse | HandlerFailure | undefined> {
    // Where the last response could not be stored, there is nothing to wait for.
    const coalesce = found.response?.isMark === true ? 'off' : 'cluster';
    const { counts, store } = this.parts;
    const loading = store.load({ name, stampNames: place.stampNames, found, coalesce, render, counts });
    return loading.catch((error: unknown) => (error instanceof HandlerFailure ? error : undefined));
  }

  private isExcused({ draft }: StoredResponse, { ttlMs }: Standing, { staleIfErrorMs }: RequestDirectives): boolean {
    return !draft.isStaleForbidden && -ttlMs < (draft.errorMs === 0 ? 0 : (staleIfErrorMs ?? draft.errorMs));
  }
}

const statusOf = (error: unknown): number => (isGatewayError(error) ? error.getStatus() : 502);
