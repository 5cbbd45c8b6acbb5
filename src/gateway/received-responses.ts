import { tagList } from '../cache/get-or-set.options.ts';
import { randomText } from '../common/random-text.ts';
import type { ResponseMaker } from '../http-cache/response-maker.ts';
import type { Rendered } from '../http-cache/response-store.ts';
import {
  ageOnArrival,
  asRecord,
  bodyFault,
  type Detail,
  directivesOf,
  headFault,
  hasValidator,
  headerOf,
  type HttpHeaders,
  type Lifetime,
  lifetimeOf,
  listMembers,
  sharesAuthorized,
  type StoredHeader,
  storedHeaders,
  updatedHeaders,
  varyNamesOf,
} from '../http-cache/semantics.ts';
import { packed, type ResponseDraft, StoredResponse } from '../http-cache/stored-response.ts';
import type { ForwardedCall, Received } from './forwarded-call.ts';
import type { ResolvedUpstreamCache } from './gateway.options.ts';
import { asSharedCacheReads, withoutDirective } from './targeted-cache-control.ts';

/** The head of an answer, its body aside. */
type Head = Omit<Received, 'body'>;

/** A response that may be stored, as it is served and as it is kept. */
export interface MadeResponse {
  readonly response: StoredResponse;
  readonly rendered: Rendered;
}

/** How long a response with a validator is kept to be asked about, once nobody may be answered with it. */
const KEPT_TO_ASK_MS = 3_600_000;
/** Longer is no use, and not every clock can count it. */
const LONGEST_MS = 365 * 86_400_000;
const PLAIN_STATUSES: ReadonlySet<number> = new Set([200, 203, 301, 308]);
/** Said again for each answer, or meant for this cache. `Date` is kept: it belongs to the age of the response. */
const NOT_KEPT: ReadonlySet<string> = new Set(['content-length', 'cache-tag', 'via']);

export interface ReceivedResponsesParts {
  readonly maker: ResponseMaker;
  readonly maxBodyBytes: (cache: ResolvedUpstreamCache) => number;
  /** Share of the default lifetime that is taken off at random. */
  readonly jitter: number;
  /** The clock that entries are dated by. */
  readonly now: () => number;
}

/** Decides about answers of upstreams: whether they may be stored, for how long, and what is kept of them. */
export class ReceivedResponses {
  constructor(private readonly parts: ReceivedResponsesParts) {}

  /** Why it may not be stored, as far as its head says. */
  faultOf(head: Head, call: ForwardedCall, cache: ResolvedUpstreamCache): Detail | undefined {
    const headers = asSharedCacheReads(head.status, head.headers);
    const isExplicit = hasLifetime(headers);
    const fault = headFault({
      ...{ status: head.status, requestHeaders: call.asked, audience: 'shared', isDeclaredPublic: false },
      headers: isAskedAbout(headers) ? { ...headers, 'cache-control': withoutDirective(headers, 'no-cache') } : headers,
      statuses: isExplicit ? EVERY_STATUS : NO_STATUS,
    });
    if (fault !== undefined) return fault;
    if (isPersonal(call.asked) && !sharesAuthorized(directivesOf(headers))) return 'cookie';
    const length = headerOf(headers, 'content-length');
    if (length !== undefined && Number(length) > this.parts.maxBodyBytes(cache)) return 'too-large';
    const lifetime = this.lifetimeOf(head, call, cache);
    return isFresh(lifetime, head) || this.isKeptToAsk(head) || lifetime.revalidateMs + lifetime.errorMs > 0
      ? undefined
      : 'no-cache';
  }

  /** Why it may not be stored, where the body is not the one that the head promised. */
  made(
    head: Head,
    body: { readonly whole: Buffer | undefined; readonly bytes: number; readonly isWhole: boolean },
    call: ForwardedCall,
    { cache, id }: { readonly cache: ResolvedUpstreamCache; readonly id: string | undefined },
  ): MadeResponse | Detail {
    const { bytes, isWhole, whole } = body;
    const fault = bodyFault({ headers: head.headers, bytes, isWhole, maxBytes: this.parts.maxBodyBytes(cache) });
    if (fault !== undefined || whole === undefined) return fault ?? 'too-large';
    const { headers } = head;
    return this.stored(head, call, cache, {
      body: whole,
      headers: [...storedHeaders(headers, NOT_KEPT), ...dateOf(headers)],
      id: id ?? randomText(6, 'base64url'),
    });
  }

  /** The stored response as a 304 of the upstream has freshened it (RFC 9111 section 4.3.4). */
  renewed(stored: StoredResponse, head: Head, call: ForwardedCall, cache: ResolvedUpstreamCache): MadeResponse {
    const { draft } = stored;
    const date = dateOf(head.headers);
    const headers = updatedHeaders(draft.headers, head.headers).filter(
      ([name]) => date.length === 0 || name !== 'date',
    );
    const merged = Object.fromEntries([...headers, ...date]) as Head['headers'];
    const renewed: Head = { ...head, status: draft.status, headers: { ...merged, ...ageOf(head.headers) } };
    return this.stored(renewed, call, cache, { body: draft.body, headers: [...headers, ...date], id: draft.id });
  }

  /** Whether a stored response may go to whoever asks like this (RFC 9111 section 3.5, and the same for cookies). */
  isFor(stored: StoredResponse, asked: HttpHeaders): boolean {
    const { draft, record } = stored;
    return !isPersonal(asked) || sharesAuthorized(directivesOf(asSharedCacheReads(draft.status, record)));
  }

  /** Whether it was fresh when it came: others may be answered with it although nobody has asked again. */
  isShared({ draft }: StoredResponse): boolean {
    return draft.freshMs > draft.ageMs;
  }

  private stored(
    head: Head,
    call: ForwardedCall,
    cache: ResolvedUpstreamCache,
    kept: Pick<ResponseDraft, 'body' | 'headers' | 'id'>,
  ): MadeResponse {
    const { status, headers } = head;
    const lifetime = this.lifetimeOf(head, call, cache);
    const ageMs = ageOnArrival(headers, head);
    const vary = variedBy(headers);
    const variant = this.parts.maker.variantOf(vary, call.asked);
    const draft: ResponseDraft = {
      ...kept,
      ...lifetime,
      status,
      ageMs,
      vary,
      variant,
      generatedAtMs: this.parts.now(),
    };
    const freshMs = Math.min(LONGEST_MS, lifetime.freshMs - ageMs);
    const staleMs = Math.max(lifetime.revalidateMs, lifetime.errorMs, this.isKeptToAsk(head) ? KEPT_TO_ASK_MS : 0);
    const tags = tagList.read(listMembers(headerOf(headers, 'cache-tag') ?? '')) ?? [];
    const rendered: Rendered = { bytes: packed(draft), freshMs, staleMs: Math.min(LONGEST_MS, staleMs), tags };
    return { response: new StoredResponse(draft), rendered };
  }

  private lifetimeOf(head: Head, call: ForwardedCall, cache: ResolvedUpstreamCache): Lifetime {
    const headers = asSharedCacheReads(head.status, head.headers);
    const isDefault = call.method === 'GET' && !isPersonal(call.asked) && PLAIN_STATUSES.has(head.status);
    const defaultMs = isDefault ? Math.ceil(cache.defaultMs * (1 - Math.random() * this.parts.jitter)) : 0;
    const isOnceFresh = hasLifetime(headers) || defaultMs > 0;
    const defaults = { freshMs: defaultMs, revalidateMs: 0, errorMs: isOnceFresh ? cache.graceMs : 0 };
    const lifetime = lifetimeOf(headers, defaults, head.receivedAtMs);
    return directivesOf(headers).has('no-cache') ? { ...lifetime, freshMs: 0 } : lifetime;
  }

  /** A response whose upstream speaks of caching at all, and can be asked whether it is still right. */
  private isKeptToAsk({ status, headers }: Head): boolean {
    const speaks = headers['cache-control'] !== undefined || headers['expires'] !== undefined;
    return status === 200 && speaks && hasValidator(headers);
  }
}

/** What says how long it is fresh may be stored whatever its status, as far as that is possible at all. */
const EVERY_STATUS = { has: () => true };
const NO_STATUS = { has: () => false };

/** Whether the response says itself how long it is fresh. */
function hasLifetime(headers: HttpHeaders): boolean {
  const directives = directivesOf(headers);
  return directives.has('max-age') || directives.has('s-maxage') || headers['expires'] !== undefined;
}

/** `no-cache` forbids to answer with it unasked, not to keep it. */
const isAskedAbout = (headers: HttpHeaders): boolean => hasValidator(headers) && directivesOf(headers).has('no-cache');

const isPersonal = (asked: HttpHeaders): boolean =>
  asked['authorization'] !== undefined || asked['cookie'] !== undefined;

const isFresh = ({ freshMs }: Lifetime, head: Head): boolean => freshMs > ageOnArrival(head.headers, head);

function dateOf(headers: HttpHeaders): StoredHeader[] {
  const date = headerOf(headers, 'date');
  return date === undefined ? [] : [['date', date]];
}

const ageOf = (headers: Head['headers']): Head['headers'] => {
  const { age } = headers;
  return age === undefined ? {} : { age };
};

/** What is coded for one client is not for another, whether the upstream says so or not. */
function variedBy(headers: HttpHeaders): readonly string[] {
  const names = varyNamesOf(headers);
  const isCoded = headers['content-encoding'] !== undefined && !names.includes('accept-encoding');
  return isCoded ? [...names, 'accept-encoding'].sort() : names;
}

/** The conditions under which the upstream may answer that nothing has changed. */
export function conditionsFor(stored: StoredResponse | undefined): Record<string, string> {
  if (stored?.draft.status !== 200) return {};
  const { etag, 'last-modified': modified } = asRecord(stored.draft.headers);
  return {
    ...(typeof etag === 'string' && { 'if-none-match': etag }),
    ...(typeof modified === 'string' && { 'if-modified-since': modified }),
  };
}
