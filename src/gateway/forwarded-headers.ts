import type { IncomingHttpHeaders } from 'node:http';
import { parseAddress } from '../common/ip-address.ts';
import { headerOf, type HttpHeaders, listMembers } from '../http-cache/semantics.ts';
import { endToEnd, takesTrailers, type WireHeaders } from './hop-headers.ts';

/** Who asks, as far as the upstream shall know. */
export interface ForwardedFor {
  readonly headers: IncomingHttpHeaders;
  /** The client's address, as the framework sees it. */
  readonly ip: string | undefined;
  /** The other end of the connection. */
  readonly remoteAddress: string | undefined;
  readonly protocol: string | undefined;
}

/** What only somebody we trust may say: who the client is and what it asked for. */
const CLAIMED = /^(?:forwarded|x-forwarded-.+|x-real-ip|x-original-url|x-rewrite-url|x-original-host|x-client-ip)$/;

/**
 * What a request says on its way to an upstream: its own headers, who sent it, and which way it came. What it claims
 * about proxies before this one counts only where the framework believes them (`trust proxy`).
 */
export function forwardedHeaders(asked: ForwardedFor, name: string): WireHeaders {
  const { headers, protocol = 'http' } = asked;
  const sent = endToEnd(headers);
  const peer = parseAddress(asked.remoteAddress);
  const isTrusted = peer !== undefined && parseAddress(asked.ip) !== peer;
  if (!isTrusted)
    for (const header of Object.keys(sent)) if (CLAIMED.test(header)) Reflect.deleteProperty(sent, header);
  if (takesTrailers(headers)) sent['te'] = 'trailers';
  const { host } = headers;
  sent['x-forwarded-for'] = joined(sent['x-forwarded-for'], peer ?? 'unknown');
  sent['x-forwarded-proto'] = protocol;
  if (host !== undefined) sent['x-forwarded-host'] ??= host;
  sent['via'] = joined(sent['via'], `1.1 ${name}`);
  Reflect.deleteProperty(sent, 'host');
  return sent;
}

const joined = (before: string | string[] | undefined, own: string): string =>
  before === undefined ? own : `${[before].flat().join(', ')}, ${own}`;

/** Whether the request has been here before: it would go round in circles. */
export function hasPassed(headers: HttpHeaders, name: string): boolean {
  const stations = listMembers(headerOf(headers, 'via') ?? '');
  return stations.some((station) => station.split(/\s+/)[1] === name);
}
