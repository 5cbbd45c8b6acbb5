import { headerOf, type HttpHeaders } from './http-headers.ts';
import { pathOf } from './request-key.ts';

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Whether a request with this method may change what others read (RFC 9110 section 9.2.1). */
export const isUnsafe = (method: string): boolean => !SAFE.has(method);

export interface UnsafeExchange {
  /** Path and query, or an absolute URL. */
  readonly url: string;
  /** Host of the request, to tell which other addresses are of the same origin. */
  readonly host: string;
  readonly status: number;
  readonly headers: HttpHeaders;
}

/**
 * The paths whose stored responses an unsafe request has made out of date: its own, and those that the response
 * points to, of the same origin only (RFC 9111 section 4.4). A request that failed changed nothing.
 */
export function invalidatedPaths({ url, host, status, headers }: UnsafeExchange): string[] {
  if (status < 200 || status >= 400) return [];
  const own = pathOf(url);
  if (own === undefined) return [];
  const named = ['location', 'content-location'].flatMap((name) => {
    const value = headerOf(headers, name);
    return value === undefined ? [] : sameOriginPath(value, url, host);
  });
  return [...new Set([own, ...named])];
}

function sameOriginPath(location: string, base: string, host: string): string[] {
  const origin = `http://${host || 'localhost'}`;
  if (!URL.canParse(base, origin)) return [];
  const from = new URL(base, origin);
  if (!URL.canParse(location, from.href)) return [];
  const to = new URL(location, from.href);
  const path = to.hostname === from.hostname ? pathOf(to.pathname) : undefined;
  return path === undefined ? [] : [path];
}
