import { headerOf, type HttpHeaders, listMembers } from './http-headers.ts';

/** A header as it is replayed: lower-case name, and a list where it came several times. */
export type StoredHeader = readonly [name: string, value: string | readonly string[]];

/** About one connection, one client or one moment: never replayed from an entry. */
const NEVER_REPLAYED: ReadonlySet<string> = new Set([
  ...['set-cookie', 'date', 'age', 'cache-status', 'x-cache', 'retry-after', 'server-timing'],
  ...['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'trailer'],
  ...['ratelimit', 'ratelimit-policy', 'traceparent', 'tracestate', 'x-request-id', 'x-response-time'],
]);
const NEVER_REPLAYED_PREFIX = /^(?:proxy-|x-ratelimit-)/;

/** What a new response says about its body may not be said of the stored one (RFC 9111 section 3.2). */
const NOT_UPDATED: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'etag',
]);

/** The headers of a response that belong to its entry. @param drop further names, lower-case */
export function storedHeaders(headers: HttpHeaders, drop: ReadonlySet<string> = NO_NAMES): StoredHeader[] {
  const named = connectionNames(headers);
  return Object.entries(headers).flatMap(([given, value]) => {
    const name = given.toLowerCase();
    const isDropped = NEVER_REPLAYED.has(name) || NEVER_REPLAYED_PREFIX.test(name) || named.has(name) || drop.has(name);
    return value === undefined || isDropped ? [] : [[name, textOf(value)] as const];
  });
}

/** The stored headers after a 304 of the origin: what it says replaces what was said before. */
export function updatedHeaders(stored: readonly StoredHeader[], notModified: HttpHeaders): StoredHeader[] {
  const newer = storedHeaders(notModified, NOT_UPDATED);
  const names = new Set(newer.map(([name]) => name));
  return [...stored.filter(([name]) => !names.has(name)), ...newer];
}

/** Names that `Connection` lists: they end at this hop (RFC 9110 section 7.6.1). */
const connectionNames = (headers: HttpHeaders): ReadonlySet<string> =>
  new Set(listMembers((headerOf(headers, 'connection') ?? '').toLowerCase()));

const NO_NAMES: ReadonlySet<string> = new Set();

const textOf = (value: string | number | readonly string[]): string | readonly string[] =>
  typeof value === 'number' ? String(value) : value;

/** The stored headers as a record, for the rules that read them. */
export const asRecord = (stored: readonly StoredHeader[]): HttpHeaders => Object.fromEntries(stored);
