import type { ExecutionContext } from '@nestjs/common';
import type { RouteResponse } from '../cache/cacheable-route.options.ts';
import { checkedTags } from '../cache/get-or-set.options.ts';
import { randomText } from '../common/random-text.ts';
import { directivesOf } from './cache-control.ts';
import type { Detail } from './cache-status.ts';
import type { Digests } from './digests.ts';
import type { Exchange } from './exchange.ts';
import { declaredAge, lifetimeOf } from './freshness.ts';
import { headerOf, type HttpHeaders, listMembers } from './http-headers.ts';
import type { ResolvedHttpOptions } from './http.options.ts';
import { identityHeaders, identityOf } from './identity.ts';
import type { Place } from './response-place.ts';
import type { RecordedResponse, ResponseHead } from './response-recorder.ts';
import type { Rendered } from './response-store.ts';
import type { RoutePolicy } from './route-policy.ts';
import { bodyFault, headFault } from './storable.ts';
import { asRecord, type StoredHeader, storedHeaders } from './stored-headers.ts';
import { packed, type ResponseDraft } from './stored-response.ts';
import { etagOf } from './validators.ts';
import { variantOf, varyNamesOf } from './vary.ts';

/** What a response is made for. */
export interface Making {
  readonly exchange: Exchange;
  readonly policy: RoutePolicy;
  readonly place: Place;
  /** Of the entry that is replaced, so that its variants stay its own. */
  readonly id: string | undefined;
}

/** What became of a response: bytes to store, or why not. */
export type Made =
  | { readonly kind: 'storable'; readonly rendered: Rendered }
  | { readonly kind: 'unstorable'; readonly detail: Detail; readonly status: number };

/** About the bytes on the wire, or addressed to this cache: not kept. */
const NOT_KEPT = ['content-length', 'content-encoding', 'cache-tag'];
/** What Express makes of a body when nobody has set an ETag: its length in hexadecimal, a hash. */
const AUTOMATIC_ETAG = /^(?:W\/)?"([\da-f]+)-[A-Za-z\d+/]{27}"$/;
const MARK_MS = 120_000;

/** Decides about responses: whether they may be stored, what they say to the client, what is kept of them. */
export class ResponseMaker {
  private readonly dropped: ReadonlySet<string>;

  constructor(
    private readonly http: ResolvedHttpOptions,
    private readonly digests: Digests,
    private readonly now: () => number,
  ) {
    this.dropped = new Set([...NOT_KEPT, ...http.dropHeaders.map((name) => name.toLowerCase())]);
  }

  /** What is known to be wrong with a response when its head is sent, and its body too if that is known. */
  faultOf({ status, headers, body }: ResponseHead, making: Making): Detail | undefined {
    const { policy, place, exchange } = making;
    const fault = headFault({
      ...{ status, headers, requestHeaders: exchange.request.headers, audience: place.audience },
      isDeclaredPublic: policy.scope !== 'auto',
      statuses: policy.statuses,
    });
    if (fault !== undefined) return fault;
    if (policy.scope === 'auto' && isKnown(exchange.request.user)) return 'user';
    const received = { headers, bytes: body?.length ?? 0, maxBytes: policy.maxBodyBytes, isWhole: true };
    const found = body === undefined ? undefined : bodyFault(received);
    return found ?? (this.lifetimeOf(status, headers, policy) === undefined ? 'no-cache' : undefined);
  }

  /** Headers that a response which is stored gets beside its own, for clients and caches further down. */
  additions({ headers, body }: Pick<ResponseHead, 'headers' | 'body'>, { policy }: Making): StoredHeader[] {
    const control = cacheControlOf(headers, policy);
    const vary = missingVary(headers, policy.vary);
    return [
      ...(control === undefined ? [] : [['cache-control', control] as const]),
      ...(vary === undefined ? [] : [['vary', vary] as const]),
      ...(body === undefined ? [] : etagHeader(headers, body)),
    ];
  }

  /** Headers that a response which is not stored gets: others down the road are not to share what is one user's. */
  warnings(headers: HttpHeaders, policy: RoutePolicy): StoredHeader[] {
    const control = isPersonal(policy) ? cacheControlOf(headers, { ...policy, browserMs: undefined }) : undefined;
    return control === undefined ? [] : [['cache-control', control]];
  }

  async make(recorded: RecordedResponse, making: Making): Promise<Made> {
    const { status, headers } = recorded;
    const unstorable = (detail: Detail): Made => ({ kind: 'unstorable', detail, status });
    const { maxBodyBytes: maxBytes } = making.policy;
    const fault = this.faultOf({ ...recorded, body: undefined }, making) ?? bodyFault({ ...recorded, maxBytes });
    if (fault !== undefined || recorded.body === undefined) return unstorable(fault ?? 'too-large');
    const body = await identityOf(recorded.body, headers, maxBytes);
    if (body === undefined) return unstorable('encoding');
    const response = this.responseOf(recorded, body, making);
    const { unless } = making.policy.operation;
    if (unless?.(...([making.exchange.context, response] as never)) === true) return unstorable('unless');
    return { kind: 'storable', rendered: this.rendered(headers, response, making) };
  }

  /** A mark for a key whose responses cannot be stored: requests need not wait for each other. */
  mark(): Rendered {
    const bytes = packed({
      ...{ status: 0, generatedAtMs: this.now(), ageMs: 0, freshMs: MARK_MS, revalidateMs: 0, errorMs: 0 },
      ...{ isStaleForbidden: true, id: '-', vary: [], variant: '', headers: [], body: Buffer.alloc(0) },
    });
    return { bytes, freshMs: MARK_MS, staleMs: 0, tags: [] };
  }

  /** Which variant the request asks for, given what a response varies on. */
  variantOf(names: readonly string[], headers: HttpHeaders): string {
    if (names.length === 0) return '';
    return this.digests.of(variantOf(names, headers, { languages: this.http.languages }));
  }

  /** The response as it is kept: identity bytes, and headers that agree with them. */
  private responseOf({ status, headers }: RecordedResponse, body: Buffer, making: Making): RouteResponse {
    const own = identityHeaders(headers);
    const kept = { ...own, ...asRecord(this.additions({ headers: own, body }, making)) };
    const { value } = making.exchange;
    return { status, headers: Object.fromEntries(storedHeaders(kept, this.dropped)), body, value };
  }

  private rendered(own: HttpHeaders, response: RouteResponse, { policy, exchange, id }: Making): Rendered {
    const { status, body, headers } = response;
    const lifetime = this.lifetimeOf(status, own, policy) ?? NO_TIME;
    const ageMs = declaredAge(own);
    // The bytes are those without a coding: one entry serves clients of every coding.
    const vary = varyNamesOf(headers).filter((name) => name !== 'accept-encoding');
    const draft: ResponseDraft = {
      ...{ status, body, ageMs, vary, ...lifetime, generatedAtMs: this.now() },
      id: id ?? randomText(6, 'base64url'),
      variant: this.variantOf(vary, exchange.request.headers),
      headers: Object.entries(headers),
    };
    const staleMs = Math.max(lifetime.revalidateMs, lifetime.errorMs);
    const tags = [...tagsOf(policy, exchange.context, response), ...listMembers(headerOf(own, 'cache-tag') ?? '')];
    return { bytes: packed(draft), freshMs: lifetime.freshMs - ageMs, staleMs, tags: checkedTags(tags) };
  }

  /** Undefined when there is no moment at which it could be served. */
  private lifetimeOf(status: number, headers: HttpHeaders, policy: RoutePolicy): typeof NO_TIME | undefined {
    const defaultMs = policy.statuses.get(status) ?? policy.lifetime.freshMs;
    // Takes a random part off, so that entries do not expire together.
    const freshMs = Math.ceil(defaultMs * (1 - Math.random() * policy.jitter));
    const lifetime = lifetimeOf(headers, { ...policy.lifetime, freshMs }, this.now());
    const isServable = lifetime.freshMs > declaredAge(headers) || lifetime.revalidateMs > 0 || lifetime.errorMs > 0;
    return isServable ? lifetime : undefined;
  }
}

const NO_TIME = { freshMs: 0, revalidateMs: 0, errorMs: 0, isStaleForbidden: true };

/** What the client may keep without asking: nothing, unless the handler or the route says otherwise. */
function cacheControlOf(headers: HttpHeaders, policy: RoutePolicy): string | undefined {
  const { browserMs } = policy;
  const own = headerOf(headers, 'cache-control');
  if (own !== undefined) {
    const directives = directivesOf(headers);
    const isSaid = ['private', 'public', 'no-store'].some((directive) => directives.has(directive));
    return isPersonal(policy) && !isSaid ? `${own}, private` : undefined;
  }
  const kept = browserMs === undefined ? 'no-cache' : `max-age=${Math.floor(browserMs / 1_000)}`;
  return isPersonal(policy) ? `private, ${kept}` : kept;
}

/** Whether its responses are not for everybody. */
const isPersonal = ({ scope, cookies }: RoutePolicy): boolean =>
  scope === 'user' || typeof scope === 'function' || typeof cookies === 'object';

/** An interceptor or a pipe may find out who asks when the request has been looked up as nobody's. */
const isKnown = (user: unknown): boolean => user !== undefined && user !== null;

function missingVary(headers: HttpHeaders, names: readonly string[]): string | undefined {
  const known = varyNamesOf(headers);
  const missing = names.filter((name) => !known.includes(name));
  if (missing.length === 0) return undefined;
  return [...listMembers(headerOf(headers, 'vary') ?? ''), ...missing].join(', ');
}

/** The ETag of the body, unless the handler has set one. */
function etagHeader(headers: HttpHeaders, body: Buffer): StoredHeader[] {
  const own = headerOf(headers, 'etag');
  const [, length] = AUTOMATIC_ETAG.exec(own ?? '') ?? [];
  const isAutomatic = length !== undefined && Number.parseInt(length, 16) === body.length;
  return own === undefined || isAutomatic ? [['etag', etagOf(body)]] : [];
}

/** Tags that only the response tells; the others are known before the handler runs. */
function tagsOf({ operation }: RoutePolicy, context: ExecutionContext, response: RouteResponse): readonly string[] {
  const { tags, declaration } = operation;
  if (!tags?.needResult) return [];
  const { name } = declaration;
  if (tags.isFunction) return tags.of({ name, args: [response], result: context });
  const request = context.switchToHttp().getRequest<object>();
  return tags.of({ name, args: [], result: response.value, request });
}
