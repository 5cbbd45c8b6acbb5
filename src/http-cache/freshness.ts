import { deltaSeconds, directivesOf, durationOf } from './cache-control.ts';
import { dateOf, headerOf, type HttpHeaders } from './http-headers.ts';

/** How long a response may be served; times in milliseconds from when it was generated. */
export interface Lifetime {
  /** How long it is fresh (RFC 9111 section 4.2.1), its age on arrival not taken off. */
  readonly freshMs: number;
  /** How long after that it may be served while it is refreshed in the background (RFC 5861). */
  readonly revalidateMs: number;
  /** How long after that it may be served because there is no better answer (RFC 5861). */
  readonly errorMs: number;
  /** Whether it may not be served stale at all, whoever asks for it (RFC 9111 section 4.2.4). */
  readonly isStaleForbidden: boolean;
}

/** What applies where the response says nothing. */
export interface LifetimeDefaults {
  readonly freshMs: number;
  readonly revalidateMs: number;
  readonly errorMs: number;
}

/** `s-maxage` before `max-age` before `Expires` before the default; nothing is ever guessed from `Last-Modified`. */
export function lifetimeOf(headers: HttpHeaders, defaults: LifetimeDefaults, receivedAtMs: number): Lifetime {
  const directives = directivesOf(headers);
  const shared = durationOf(directives, 's-maxage');
  const freshMs = shared ?? durationOf(directives, 'max-age') ?? untilExpiry(headers, receivedAtMs) ?? defaults.freshMs;
  const isStaleForbidden =
    shared !== undefined ||
    directives.has('must-revalidate') ||
    directives.has('proxy-revalidate') ||
    directives.has('no-cache');
  return {
    freshMs,
    revalidateMs: isStaleForbidden ? 0 : (durationOf(directives, 'stale-while-revalidate') ?? defaults.revalidateMs),
    errorMs: isStaleForbidden ? 0 : (durationOf(directives, 'stale-if-error') ?? defaults.errorMs),
    isStaleForbidden,
  };
}

function untilExpiry(headers: HttpHeaders, receivedAtMs: number): number | undefined {
  const expires = headerOf(headers, 'expires');
  if (expires === undefined) return undefined;
  const generatedAtMs = dateOf(headerOf(headers, 'date')) ?? receivedAtMs;
  return Math.max(0, (dateOf(expires) ?? 0) - generatedAtMs);
}

/** When a response was asked for and came, in milliseconds since the epoch. */
export interface Arrival {
  readonly requestedAtMs: number;
  readonly receivedAtMs: number;
}

/** How old a response from another server is when it comes, in milliseconds (RFC 9111 section 4.2.3). */
export function ageOnArrival(headers: HttpHeaders, { requestedAtMs, receivedAtMs }: Arrival): number {
  const generatedAtMs = dateOf(headerOf(headers, 'date')) ?? receivedAtMs;
  return Math.max(receivedAtMs - generatedAtMs, declaredAge(headers) + (receivedAtMs - requestedAtMs));
}

/** What `Age` says, in milliseconds; 0 for what is no age. */
export function declaredAge(headers: HttpHeaders): number {
  const value = headerOf(headers, 'age');
  // Of several values the first counts (RFC 9111 section 5.1).
  const [first = ''] = value?.split(',') ?? [];
  return (deltaSeconds(first.trim()) ?? 0) * 1_000;
}
