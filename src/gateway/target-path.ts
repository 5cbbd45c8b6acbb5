/** What a forwarded path may be made of: visible ASCII without `#`, and nothing that another program takes for a slash. */
const PLAIN = /^[\x21-\x22\x24-\x5b\x5d-\x7e]*$/;
/** An encoded slash, backslash or control character, or an escape that is none. */
const HIDDEN = /%(?:2f|5c|[01][\da-f]|7f|(?![\da-f]{2}))/i;
/** `.` and `..`, encoded or with a parameter, as a segment of their own. */
const DOTS = /(?:^|\/)(?:\.|%2e){1,2}(?:;[^/]*)?(?:\/|$)/i;

/**
 * The path and query to ask an upstream for; undefined for what could mean anything but a place below `basePath`:
 * segments that go up, a second slash in front (which begins a host), hidden separators.
 *
 * @param basePath without a slash at its end
 * @param path absolute, its query behind it
 */
export function targetPath(basePath: string, path: string): string | undefined {
  const [place = ''] = path.split('?', 1);
  if (!place.startsWith('/') || place.startsWith('//')) return undefined;
  if (!PLAIN.test(path) || HIDDEN.test(place) || DOTS.test(place)) return undefined;
  return basePath + path;
}

/** Where a request to a wildcard route goes. */
export interface Wildcard {
  /** The path in front of the wildcard, as the client wrote it. */
  readonly mount: string;
  /** The part that the wildcard stands for, and the query. */
  readonly path: string;
}

/** How many segments stand before the wildcard; undefined for a route without one. */
export function segmentsBefore(pattern: string): number | undefined {
  const segments = pattern.replace('{/*', '/{*').split('/');
  const at = segments.findIndex((segment) => /^\{?\*/.test(segment));
  return at === -1 ? undefined : at;
}

/** @param url as the client wrote it: decoded parameters could not be put together again */
export function wildcardOf(pattern: string, url: string): Wildcard | undefined {
  const count = segmentsBefore(pattern);
  if (count === undefined) return undefined;
  const [place = '', query] = splitOnce(url, '?');
  const segments = place.split('/');
  const mount = segments.slice(0, count).join('/');
  return { mount, path: `/${segments.slice(count).join('/')}${query === undefined ? '' : `?${query}`}` };
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** Where the gateway shows an upstream. */
export interface Placement {
  readonly origin: string;
  readonly basePath: string;
  /** Undefined where the path was given by hand: what stands in front of it is not known. */
  readonly mount: string | undefined;
}

/**
 * A `Location` of an upstream as clients of the gateway can follow it; one that leads elsewhere stays as it is. Never
 * shows the origin.
 */
export function rewrittenLocation(location: string, { origin, basePath, mount }: Placement): string {
  const isRooted = /^\/(?!\/)/.test(location);
  if (!isRooted && !isOfOrigin(location, origin)) return location;
  const { pathname, search, hash } = new URL(location, origin);
  const isInside = pathname === basePath || pathname.startsWith(`${basePath}/`);
  const place = isInside && mount !== undefined ? mount + pathname.slice(basePath.length) : pathname;
  return (place === '' ? '/' : place) + search + hash;
}

const isOfOrigin = (location: string, origin: string): boolean =>
  /^(?:https?:)?\/\//i.test(location) &&
  URL.canParse(location, origin) &&
  new URL(location, origin).host === new URL(origin).host;
