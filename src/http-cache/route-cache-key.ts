import { encodeKeyPart } from '../common/keys.ts';

/** What of a request names its entry. */
export interface RouteRequest {
  readonly url: string;
  /** Express cuts `url` down inside routers. */
  readonly originalUrl?: string;
  /** What Nest found in the host name, on controllers with a `host`. */
  readonly hosts?: Readonly<Record<string, string>>;
}

/**
 * The key of a GET request: host parameters, path and query, never headers. `?b=2&a=1` is `?a=1&b=2`, but values of
 * one name keep their order, and nothing is decoded: two requests that a handler could tell apart never share a key.
 */
export function routeKeyOf(name: string, { url, originalUrl = url, hosts = {} }: RouteRequest): string {
  const [path = '', ...query] = originalUrl.split('?');
  const host = Object.entries(hosts).map(([parameter, value]) => `@${parameter}=${encodeKeyPart(value)}`);
  return `${name}${host.join('')}:${withoutBraces(path)}${withoutBraces(sorted(query.join('?')))}`;
}

/** A stable sort by the name of the parameter that `a`, `a[]`, `a[0]` and `%61` all belong to. */
function sorted(query: string): string {
  const pairs = query.split('&').filter((pair) => pair !== '');
  if (pairs.length === 0) return '';
  const named = pairs.map((pair) => ({ pair, name: baseNameOf(pair) }));
  return `?${named
    .sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)))
    .map(({ pair }) => pair)
    .join('&')}`;
}

function baseNameOf(pair: string): string {
  const [name = ''] = pair.split('=');
  return (decoded(name).split('[')[0] ?? '').replaceAll('+', ' ');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** In a cluster, braces in a key choose its slot: not for clients to say. In a URL they mean their encoded form. */
const withoutBraces = (url: string): string => url.replaceAll('{', '%7B').replaceAll('}', '%7D');
