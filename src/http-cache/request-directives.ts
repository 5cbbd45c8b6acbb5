import { directivesOf, durationOf } from './cache-control.ts';
import { headerOf, type HttpHeaders } from './http-headers.ts';

/** What a client says about stored responses (RFC 9111 section 5.2.1); times in milliseconds. */
export interface RequestDirectives {
  /** Neither look nor store. */
  readonly noStore: boolean;
  /** Do not answer from the store without asking the handler again. */
  readonly noCache: boolean;
  /** Answer from the store or not at all. */
  readonly onlyIfCached: boolean;
  readonly maxAgeMs: number | undefined;
  readonly minFreshMs: number;
  /** How stale the answer may be; `Infinity` when the client does not mind. */
  readonly maxStaleMs: number;
  /** How stale it may be where the handler fails, as the client says; undefined when it does not say. */
  readonly staleIfErrorMs: number | undefined;
}

/** What a request without a word about it asks for. */
export const NO_REQUEST_DIRECTIVES: RequestDirectives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAgeMs: undefined,
  minFreshMs: 0,
  maxStaleMs: 0,
  staleIfErrorMs: undefined,
};

export function requestDirectivesOf(headers: HttpHeaders): RequestDirectives {
  if (headers['cache-control'] === undefined) {
    if (headers['pragma'] === undefined) return NO_REQUEST_DIRECTIVES;
    return { ...NO_REQUEST_DIRECTIVES, noCache: /\bno-cache\b/i.test(headerOf(headers, 'pragma') ?? '') };
  }
  const directives = directivesOf(headers);
  return {
    noStore: directives.has('no-store'),
    noCache: directives.has('no-cache'),
    onlyIfCached: directives.has('only-if-cached'),
    maxAgeMs: durationOf(directives, 'max-age'),
    minFreshMs: durationOf(directives, 'min-fresh') ?? 0,
    maxStaleMs: directives.get('max-stale') === '' ? Infinity : (durationOf(directives, 'max-stale') ?? 0),
    staleIfErrorMs: durationOf(directives, 'stale-if-error'),
  };
}

/** A stored response at the moment of a request; times in milliseconds. */
export interface StoredAge {
  readonly ageMs: number;
  readonly freshMs: number;
  readonly isStaleForbidden: boolean;
}

/**
 * What a stored response is to the client: an answer, an answer although it is stale (`max-stale`), too old for this
 * client (`reload`: it may be fresh for others), or `stale`, which an outage or a refresh may still excuse.
 */
export type Fitness = 'fits' | 'fits-stale' | 'reload' | 'stale';

export function fitnessOf(directives: RequestDirectives, { ageMs, freshMs, isStaleForbidden }: StoredAge): Fitness {
  const { noCache, maxAgeMs, minFreshMs, maxStaleMs } = directives;
  if (noCache) return 'reload';
  const leftMs = freshMs - ageMs;
  // An age is known in whole seconds: "not older than 0" means a response that was made for this request.
  if (maxAgeMs !== undefined && (maxAgeMs === 0 || ageMs > maxAgeMs)) return 'reload';
  if (leftMs > 0) return leftMs >= minFreshMs ? 'fits' : 'reload';
  return !isStaleForbidden && -leftMs < maxStaleMs ? 'fits-stale' : 'stale';
}
