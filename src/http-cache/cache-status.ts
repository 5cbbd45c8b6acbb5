import type { Unstorable } from './storable.ts';

/** Why a cache went to the handler (RFC 9211 section 2.2). */
export type Forward = 'uri-miss' | 'vary-miss' | 'request' | 'stale' | 'bypass';

/** Why a response did not come from the store, or is not kept there. */
export type Detail =
  | Unstorable
  | 'user'
  | 'cookie'
  | 'range'
  | 'host'
  | 'when'
  | 'unless'
  | 'store-error'
  | 'hit-for-miss'
  | 'stale-if-error';

/** What the cache did with one request. */
export type CacheOutcome =
  | {
      readonly kind: 'hit';
      /** How long it is still fresh; negative when it is stale. */
      readonly ttlMs: number;
    }
  | {
      readonly kind: 'forward';
      readonly forward: Forward;
      /** Status of the handler's answer, where the client got another one. */
      readonly status?: number | undefined;
      /** Whether it was stored; undefined when that is not known yet. */
      readonly isStored?: boolean | undefined;
      /** Whether the request shared the run of another one. */
      readonly isCollapsed?: boolean | undefined;
      readonly detail?: Detail | undefined;
    };

/** What is said of a request that went to the handler, or on to a server. */
export type Forwarded = Omit<Extract<CacheOutcome, { kind: 'forward' }>, 'kind'>;

/** A stale response in place of a failure (RFC 5861 section 4). */
export const STALE_IF_ERROR = { kind: 'forward', forward: 'stale', detail: 'stale-if-error' } as const;

/** One member of `Cache-Status` (RFC 9211), a list of RFC 9651. @param name an sf-string or token, ready to be written */
export function cacheStatusOf(name: string, outcome: CacheOutcome): string {
  if (outcome.kind === 'hit') return `${name};hit;ttl=${Math.floor(outcome.ttlMs / 1_000)}`;
  const { forward, status, isStored, isCollapsed, detail } = outcome;
  let text = `${name};fwd=${forward}`;
  if (status !== undefined) text += `;fwd-status=${status}`;
  if (isStored !== undefined) text += isStored ? ';stored' : ';stored=?0';
  if (isCollapsed !== undefined) text += isCollapsed ? ';collapsed' : ';collapsed=?0';
  return detail === undefined ? text : `${text};detail=${detail}`;
}

/** The cache nearest to the client comes last (RFC 9211 section 2). */
export const appended = (upstream: string | undefined, own: string): string =>
  upstream === undefined || upstream === '' ? own : `${upstream}, ${own}`;

/** The key of an entry, for those who may see it: it tells paths and queries of others (RFC 9211 section 6). */
export const withKey = (status: string, key: string): string =>
  /^[\x20-\x7e]*$/.test(key) ? `${status};key=${statusName(key)}` : status;

/** A name as an sf-string. @param name visible ASCII */
export const statusName = (name: string): string => `"${name.replace(/["\\]/g, '\\$&')}"`;

/** The one word that people look for first. */
export type LegacyStatus = 'HIT' | 'MISS' | 'STALE' | 'BYPASS';

export function legacyStatusOf(outcome: CacheOutcome): LegacyStatus {
  if (outcome.kind === 'hit') return outcome.ttlMs > 0 ? 'HIT' : 'STALE';
  if (outcome.detail === 'stale-if-error') return 'STALE';
  return outcome.forward === 'bypass' ? 'BYPASS' : 'MISS';
}
