import { directivesOf, type Directives } from './cache-control.ts';
import { headerOf, type HttpHeaders, listMembers } from './http-headers.ts';

/** Why a response is not stored: the `detail` of `Cache-Status`. */
export type Unstorable =
  | 'status'
  | 'no-store'
  | 'private'
  | 'no-cache'
  | 'vary'
  | 'set-cookie'
  | 'event-stream'
  | 'cors'
  | 'authorization'
  | 'too-large'
  | 'aborted'
  | 'length'
  | 'encoding';

/** The head of a response, and what is asked of it. */
export interface StoreRequest {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly requestHeaders: HttpHeaders;
  /** Who may be answered with it: everybody, or the one user whose key it is stored under. */
  readonly audience: 'shared' | 'user';
  /** Whether somebody has said that the response is for all, although the request carries `Authorization`. */
  readonly isDeclaredPublic: boolean;
  /** Statuses that are stored beside the usual ones. */
  readonly statuses: Pick<ReadonlyMap<number, unknown>, 'has'>;
}

/** Stored without being asked (a subset of RFC 9110 section 15.1: errors are not kept unless somebody says so). */
const STORED_STATUSES: ReadonlySet<number> = new Set([200, 203, 301, 308]);
const NEVER_STORED: ReadonlySet<number> = new Set([206, 304, 401, 403, 429]);

/** Whether `statuses` may name it: nothing that is about one client, one moment or one part of a response. */
export const mayBeStored = (status: number): boolean => status >= 200 && status < 500 && !NEVER_STORED.has(status);

/** What in the head of a response forbids to store it (RFC 9111 section 3, and what a careful cache adds to it). */
export function headFault(request: StoreRequest): Unstorable | undefined {
  const { status, headers, requestHeaders, audience, statuses, isDeclaredPublic } = request;
  const directives = directivesOf(headers);
  if (directives.has('no-store')) return 'no-store';
  if (directives.has('private') && audience === 'shared') return 'private';
  if (directives.has('no-cache')) return 'no-cache';
  if (!mayBeStored(status) || !(STORED_STATUSES.has(status) || statuses.has(status))) return 'status';
  if (headers['set-cookie'] !== undefined) return 'set-cookie';
  if (variesOn(headers, '*')) return 'vary';
  if (/^\s*text\/event-stream\b/i.test(headerOf(headers, 'content-type') ?? '')) return 'event-stream';
  if (isForOneOrigin(headers)) return 'cors';
  const isPersonal = requestHeaders['authorization'] !== undefined && audience === 'shared' && !isDeclaredPublic;
  return isPersonal && !sharesAuthorized(directives) ? 'authorization' : undefined;
}

export interface ReceivedBody {
  readonly headers: HttpHeaders;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Whether it came to its end. */
  readonly isWhole: boolean;
}

/** What is wrong with the body of a response that could be stored. */
export function bodyFault({ headers, bytes, maxBytes, isWhole }: ReceivedBody): Unstorable | undefined {
  if (!isWhole) return 'aborted';
  if (bytes > maxBytes) return 'too-large';
  const declared = headerOf(headers, 'content-length');
  return declared !== undefined && Number(declared) !== bytes ? 'length' : undefined;
}

/** RFC 9111 section 3.5: the response itself says that a request with credentials does not make it personal. */
export const sharesAuthorized = (directives: Directives): boolean =>
  directives.has('public') || directives.has('s-maxage') || directives.has('must-revalidate');

/** An origin that was echoed is right for the one who sent it, and for nobody else. */
function isForOneOrigin(headers: HttpHeaders): boolean {
  const allowed = headerOf(headers, 'access-control-allow-origin');
  return allowed !== undefined && allowed !== '*' && !variesOn(headers, 'origin');
}

const variesOn = (headers: HttpHeaders, name: string): boolean =>
  listMembers(headerOf(headers, 'vary') ?? '').some((member) => member.toLowerCase() === name);
