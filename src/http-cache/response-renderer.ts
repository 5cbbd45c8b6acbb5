import type { ByName } from '../common/by-name.ts';
import type { CacheAnnouncer } from './cache-announcer.ts';
import { type CacheOutcome, type Detail, type Forward, type Forwarded, STALE_IF_ERROR } from './cache-status.ts';
import type { Exchange } from './exchange.ts';
import { headerOf, type HttpHeaders } from './http-headers.ts';
import type { Made, Making, ResponseMaker } from './response-maker.ts';
import {
  beforeHead,
  type HeadVerdict,
  type RecordedResponse,
  type ResponseHead,
  ResponseRecorder,
} from './response-recorder.ts';
import { ResponseSink, type ResponseStart } from './response-sink.ts';
import type { Rendered } from './response-store.ts';
import type { ResponseTurn } from './response-turn.ts';
import type { RoutePolicy } from './route-policy.ts';
import { asRecord, type StoredHeader } from './stored-headers.ts';
import type { StoredResponse } from './stored-response.ts';
import { hasValidator, isInNotModified, isNotModified } from './validators.ts';

/** A response that is made for the client and for the store. */
export interface RenderOrder extends Making {
  readonly turn: ResponseTurn;
  /** Why the handler runs. */
  readonly forward: Forward;
  readonly detail: Detail | undefined;
  /** What is served instead when the handler fails. */
  readonly stale: StoredResponse | undefined;
  /** Whether others shall be told when the response cannot be stored. */
  readonly marksFailure: boolean;
  /** Called when a response is about to be stored. */
  readonly onStored: () => void;
}

/** A response that is made for the client alone. */
interface PassOrder {
  readonly exchange: Exchange;
  readonly policy: RoutePolicy;
  readonly stale: StoredResponse;
}

/** A handler that failed, for those who have something stale to serve. */
export class HandlerFailure extends Error {
  constructor(readonly status: number) {
    super(`The handler answered with ${status}`);
  }
}

/** Failures that a stale response may hide (RFC 5861 section 4). */
const FAILURES: ReadonlySet<number> = new Set([500, 502, 503, 504]);
/** Addressed to this cache. */
const NOT_SENT: readonly string[] = ['cache-tag'];
/** How long a second render may take to end its response, once its handler has returned. */
const UNENDED_MS = 30_000;

export interface ResponseRendererParts {
  readonly maker: ResponseMaker;
  readonly announcer: CacheAnnouncer;
  readonly notStored: ByName<{ n: number }>;
  readonly warn: (message: string) => void;
}

/** Has the pipeline behind the cache make a response, and hands to the store what came of it. */
export class ResponseRenderer {
  private readonly maker: ResponseMaker;
  private readonly announcer: CacheAnnouncer;
  /** Routes whose nonces were warned of. */
  private readonly warned = new WeakSet<RoutePolicy>();

  constructor(private readonly parts: ResponseRendererParts) {
    this.maker = parts.maker;
    this.announcer = parts.announcer;
  }

  /** For the client, who gets it as it comes, and for the store. */
  render(order: RenderOrder): Promise<unknown> {
    const { exchange, policy } = order;
    exchange.takeConditions();
    const onHead = (head: ResponseHead): HeadVerdict => this.verdict(head, order);
    const recorder = new ResponseRecorder(exchange.raw, { maxBytes: policy.maxBodyBytes, onHead });
    order.turn.done(this.made(recorder.finished, order));
    return exchange.run();
  }

  /** Says what it is when it is sent, to the client alone: nothing of what the exchange then makes is recorded. */
  pass({ exchange, policy }: Pick<RenderOrder, 'exchange' | 'policy'>, outcome: Forwarded): Exchange {
    const { raw } = exchange;
    beforeHead(raw, () => {
      const headers = raw.getHeaders() as HttpHeaders;
      for (const name of NOT_SENT) raw.removeHeader(name);
      const said = this.announcer.announced(exchange, { kind: 'forward', ...outcome }, headers);
      for (const [name, value] of [...this.maker.warnings(headers, policy), ...said]) raw.setHeader(name, value);
    });
    return exchange;
  }

  /** The same, but for a failure: the client gets what is stale instead. */
  passUnlessFailed(order: PassOrder, outcome: Forwarded): Promise<unknown> {
    const { exchange, policy, stale } = order;
    const onHead = ({ status, headers }: ResponseHead): HeadVerdict => {
      if (FAILURES.has(status)) return this.replacedBy(stale, { ...STALE_IF_ERROR, status }, order);
      const said = this.announcer.announced(exchange, { kind: 'forward', ...outcome }, headers);
      return { kind: 'send', set: [...this.maker.warnings(headers, policy), ...said], remove: NOT_SENT };
    };
    new ResponseRecorder(exchange.raw, { maxBytes: 0, onHead });
    return exchange.run();
  }

  /** For the store alone: the client has been answered. */
  async refresh(order: RenderOrder, start: ResponseStart): Promise<unknown> {
    const { exchange, policy } = order;
    exchange.takeConditions();
    const sink = new ResponseSink(exchange.raw, start, policy.maxBodyBytes);
    order.turn.done(this.made(sink.finished, order));
    try {
      return await exchange.run();
    } finally {
      setTimeout(() => sink.abort(), UNENDED_MS).unref();
    }
  }

  private verdict(head: ResponseHead, order: RenderOrder): HeadVerdict {
    const { exchange, stale } = order;
    if (stale !== undefined && FAILURES.has(head.status)) {
      const outcome = { ...STALE_IF_ERROR, status: head.status };
      return this.replacedBy(stale, outcome, order);
    }
    const fault = this.maker.faultOf(head, order);
    const said = this.announcer.announced(exchange, outcomeOf(head, fault, order), head.headers);
    const { headers: own } = head;
    const added = fault === undefined ? this.maker.additions(head, order) : this.maker.warnings(own, order.policy);
    const set = [...added, ...said];
    const headers: HttpHeaders = { ...own, ...asRecord(set) };
    const mayMatch = head.status === 200 && (head.body !== undefined || hasValidator(headers));
    if (!mayMatch || !isNotModified(exchange.conditions, headers)) return { kind: 'send', set, remove: NOT_SENT };
    const isRecorded = fault === undefined;
    return { kind: 'replace', status: 304, headers: withoutBody(headers), body: undefined, isRecorded };
  }

  private replacedBy(
    stale: StoredResponse,
    outcome: CacheOutcome,
    { exchange }: Pick<RenderOrder, 'exchange'>,
  ): HeadVerdict {
    const { status, headers, body } = stale.draft;
    const said = this.announcer.announced(exchange, outcome);
    if (isNotModified(exchange.conditions, stale.record)) {
      const kept = [...stale.notModified, ...said];
      return { kind: 'replace', status: 304, headers: kept, body: undefined, isRecorded: false };
    }
    const length = status === 204 ? [] : [['content-length', String(body.length)] as const];
    return { kind: 'replace', status, headers: [...headers, ...length, ...said], body, isRecorded: false };
  }

  /** What the store gets. Never fails because of what functions of the application throw: nothing is stored then. */
  private async made(finished: Promise<RecordedResponse>, order: RenderOrder): Promise<Rendered | undefined> {
    const recorded = await finished;
    const made = await this.orNothing(recorded, order);
    if (made.kind === 'storable') {
      this.warnOfNonce(recorded, order);
      order.onStored();
      return made.rendered;
    }
    this.parts.notStored.of(made.detail).n++;
    if (FAILURES.has(made.status)) throw new HandlerFailure(made.status);
    const isMarked = order.marksFailure && made.status < 400 && made.detail !== 'aborted';
    return isMarked ? this.maker.mark() : undefined;
  }

  /** A nonce that comes twice protects nobody (CSP3 section 7.1). */
  private warnOfNonce({ headers }: RecordedResponse, { policy }: RenderOrder): void {
    if (this.warned.has(policy) || !headerOf(headers, 'content-security-policy')?.includes("'nonce-")) return;
    this.warned.add(policy);
    const { name } = policy.operation.declaration;
    this.parts.warn(`${name}: everybody gets the nonce of its Content-Security-Policy for as long as it is cached`);
  }

  private async orNothing(recorded: RecordedResponse, order: RenderOrder): Promise<Made> {
    try {
      return await this.maker.make(recorded, order);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.parts.warn(`${order.policy.operation.declaration.name}: its response is not stored: ${reason}`);
      return { kind: 'unstorable', detail: 'unless', status: recorded.status };
    }
  }
}

function outcomeOf({ body }: ResponseHead, fault: Detail | undefined, { forward, detail }: RenderOrder): CacheOutcome {
  if (detail === 'store-error') return { kind: 'forward', forward: 'bypass', detail };
  if (fault === undefined) return { kind: 'forward', forward, isStored: body === undefined ? undefined : true };
  if (detail === 'hit-for-miss') return { kind: 'forward', forward: 'bypass', detail };
  return { kind: 'forward', forward, isStored: false, detail: fault };
}

const withoutBody = (headers: HttpHeaders): StoredHeader[] =>
  Object.entries(headers).flatMap(([name, value]) =>
    value === undefined || !(isInNotModified(name) || !ABOUT_RESPONSE.test(name))
      ? []
      : [[name, typeof value === 'number' ? String(value) : value] as const],
  );

/** What a 304 leaves out; what middleware has said (CORS, cookies, limits) stays. */
const ABOUT_RESPONSE = /^(?:content-|transfer-encoding$|last-modified$|accept-ranges$|cache-tag$)/;
