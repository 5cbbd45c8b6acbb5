import { directivesOf, headerOf, type HttpHeaders } from '../http-cache/semantics.ts';

/** Meant for caches between the origin and the client's own, such as this one (RFC 9213). */
const TARGETED = 'cdn-cache-control';

const KEY = String.raw`[a-z*][a-z\d_\-.*]*`;
const VALUE = String.raw`(?:-?\d{1,15}|-?\d{1,12}\.\d{1,3}|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"|[A-Za-z*][\w!#$%&'*+\-.^|~:/\x60]*|:[A-Za-z\d+/=]*:|\?[01])`;
const PARAMETERS = `(?:; *${KEY}(?:=${VALUE})?)*`;
const MEMBER = `${KEY}(?:=${VALUE})?${PARAMETERS}`;
/** A dictionary of RFC 9651; whatever else stands there is ignored as a whole. */
const DICTIONARY = new RegExp(`^ *${MEMBER}(?:[ \\t]*,[ \\t]*${MEMBER})* *$`);
/** Directives that need a number, and whatever has one of another type. */
const WRONG_TYPE = /(?:^|[,\s])(?:max-age|s-maxage|stale-while-revalidate|stale-if-error)(?!=-?\d+(?:[\s,;]|$))/;

/** Statuses whose meaning this cache knows, so that `must-understand` is satisfied. */
const UNDERSTOOD: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414]);

/** The headers of a response as a shared cache has to read them. */
export function asSharedCacheReads(status: number, headers: HttpHeaders): HttpHeaders {
  const targeted = headerOf(headers, TARGETED);
  if (targeted !== undefined && DICTIONARY.test(targeted) && !WRONG_TYPE.test(targeted)) {
    return { ...headers, 'cache-control': targeted, expires: undefined };
  }
  const directives = directivesOf(headers);
  if (!directives.has('must-understand') || !directives.has('no-store') || !UNDERSTOOD.has(status)) return headers;
  return { ...headers, 'cache-control': withoutDirective(headers, 'no-store') };
}

/** What `Cache-Control` says beside one directive. */
export const withoutDirective = (headers: HttpHeaders, unwanted: string): string =>
  [...directivesOf(headers)]
    .filter(([name]) => name !== unwanted)
    .map(([name, argument]) => (argument === '' ? name : `${name}="${argument.replace(/["\\]/g, '\\$&')}"`))
    .join(', ');
