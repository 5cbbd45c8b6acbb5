import { createHash } from 'node:crypto';
import { dateOf, headerOf, type HttpHeaders, listMembers } from './http-headers.ts';

/** What a 304 carries of the headers of the response that it stands for (RFC 9110 section 15.4.5). */
const IN_NOT_MODIFIED: ReadonlySet<string> = new Set([
  'cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'vary',
  'age',
  'cache-status',
  'x-cache',
]);

/** Whether a 304 carries this header. */
export const isInNotModified = (name: string): boolean => IN_NOT_MODIFIED.has(name);

/** A validator for a body, made once when it is stored; weak, because a compressor may change the bytes on the wire. */
export const etagOf = (body: Uint8Array): string =>
  `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;

export const weakened = (etag: string): string => (etag.startsWith('W/') ? etag : `W/${etag}`);

/** Whether the request may be answered with 304, given the response it would get (RFC 9110 section 13.2.2). */
export function isNotModified(requestHeaders: HttpHeaders, headers: HttpHeaders): boolean {
  const match = headerOf(requestHeaders, 'if-none-match');
  if (match !== undefined) return matchesAny(match, headerOf(headers, 'etag'));
  const since = dateOf(headerOf(requestHeaders, 'if-modified-since'));
  const modified = dateOf(headerOf(headers, 'last-modified'));
  return since !== undefined && modified !== undefined && modified <= since;
}

/** Whether the response can be told from another one, whatever its body is. */
export const hasValidator = (headers: HttpHeaders): boolean =>
  headers['etag'] !== undefined || headers['last-modified'] !== undefined;

/** Whether the request asks for a 304 at all. */
export const isConditional = (requestHeaders: HttpHeaders): boolean =>
  requestHeaders['if-none-match'] !== undefined || requestHeaders['if-modified-since'] !== undefined;

/** Conditions about what is changed, not about what is read: nothing a cache could answer. */
export const hasPrecondition = (requestHeaders: HttpHeaders): boolean =>
  requestHeaders['if-match'] !== undefined || requestHeaders['if-unmodified-since'] !== undefined;

/** Weak comparison with a list, or with `*`, which any stored response satisfies. */
function matchesAny(list: string, etag: string | undefined): boolean {
  if (list.trim() === '*') return true;
  if (etag === undefined) return false;
  const opaque = weakened(etag.trim());
  return listMembers(list).some((member) => weakened(member) === opaque);
}
