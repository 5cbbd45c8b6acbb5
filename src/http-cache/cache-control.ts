import { headerOf, type HttpHeaders, listMembers } from './http-headers.ts';

/** The directives of `Cache-Control`, by lower-case name; one without argument is `''`. */
export type Directives = ReadonlyMap<string, string>;

const NONE: Directives = new Map();
/** What a longer time is cut to: RFC 9111 section 1.2.2 asks for no more. */
const MAX_SECONDS = 2 ** 31;

/** Of a directive that comes twice the first one counts (RFC 9111 section 4.2.1). */
export function directivesOf(headers: HttpHeaders): Directives {
  const value = headerOf(headers, 'cache-control');
  if (value === undefined) return NONE;
  const directives = new Map<string, string>();
  for (const member of listMembers(value)) {
    const at = member.indexOf('=');
    const name = (at === -1 ? member : member.slice(0, at)).toLowerCase();
    if (!directives.has(name)) directives.set(name, at === -1 ? '' : unquoted(member.slice(at + 1)));
  }
  return directives;
}

/** The time that a directive names, in milliseconds; 0 when it says nothing understandable, undefined without it. */
export function durationOf(directives: Directives, name: string): number | undefined {
  const argument = directives.get(name);
  return argument === undefined ? undefined : (deltaSeconds(argument) ?? 0) * 1_000;
}

/** A count of seconds as HTTP writes it, or undefined for anything else. */
export const deltaSeconds = (text: string): number | undefined =>
  /^\d+$/.test(text) ? Math.min(Number(text), MAX_SECONDS) : undefined;

const unquoted = (argument: string): string =>
  /^".*"$/s.test(argument) ? argument.slice(1, -1).replace(/\\(.)/gs, '$1') : argument;
