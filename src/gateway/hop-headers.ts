import { headerOf, type HttpHeaders, listMembers } from '../http-cache/semantics.ts';

/** Headers by lower-case name, as they are sent on. */
export type WireHeaders = Record<string, string | string[]>;

/** What is about one connection only (RFC 9110 section 7.6.1), whether `Connection` lists it or not. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te', 'trailer', 'expect'],
  ...['proxy-authenticate', 'proxy-authorization', 'proxy-authentication-info', 'http2-settings'],
]);

/** A message with more header lines than this is not forwarded. */
export const MAX_HEADER_LINES = 256;

/** The headers that are meant for whoever is at the end of the chain. */
export function endToEnd(headers: HttpHeaders): WireHeaders {
  const named = new Set(listMembers((headerOf(headers, 'connection') ?? '').toLowerCase()));
  const kept: WireHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || named.has(name)) continue;
    kept[name] = typeof value === 'string' ? value : typeof value === 'number' ? String(value) : [...value];
  }
  return kept;
}

/** Whether the client takes trailers, which is all of `TE` that outlives a hop. */
export const takesTrailers = (headers: HttpHeaders): boolean =>
  listMembers((headerOf(headers, 'te') ?? '').toLowerCase()).includes('trailers');

export const hasTooManyLines = (headers: HttpHeaders): boolean =>
  Object.values(headers).reduce<number>((sum, value) => sum + (Array.isArray(value) ? value.length : 1), 0) >
  MAX_HEADER_LINES;

/** A token of RFC 9110: the name of a header, of a method, of an intermediary. */
export const isToken = (text: string): boolean => /^[!#$%&'*+\-.^_`|~\w]+$/.test(text);
