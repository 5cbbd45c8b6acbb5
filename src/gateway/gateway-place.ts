import { epochStamp } from '../cache/cache-tags.ts';
import type { Digests } from '../http-cache/digests.ts';
import {
  type Detail,
  hasPrecondition,
  hostOf,
  invalidatedPaths,
  pathOf,
  queryOf,
  type QueryRules,
} from '../http-cache/semantics.ts';
import { clientOf } from './client-request.ts';
import type { ForwardedCall, Received } from './forwarded-call.ts';
import { hasBody } from './request-body.ts';

/** Where the response to a request is kept. */
export interface GatewayPlace {
  readonly kind: 'place';
  /** The key of its entry. */
  readonly name: string;
  /** What it is invalidated by, as far as that is known before there is a response. */
  readonly stampNames: readonly string[];
}

/** A request that the cache leaves alone, and why. */
interface Bypass {
  readonly kind: 'bypass';
  readonly detail: Detail | undefined;
}

const EPOCH = epochStamp('');
const MAX_NAME = 200;
/** What stays readable of a longer name. */
const READABLE = 160;

/**
 * Names the entry of a request: upstream, and whatever the upstream is told that may be in its response without being
 * named in `Vary`: scheme, host and path as the client sees them, path and query on the upstream.
 */
export function placeOf(call: ForwardedCall, query: QueryRules, digests: Digests): GatewayPlace | Bypass {
  const { exchange, path, mount = '', upstream, asked } = call;
  // A GET with a body asks for something that its address does not say.
  if (hasBody(asked) || hasPrecondition(asked)) return bypass(undefined);
  if (asked['range'] !== undefined) return bypass('range');
  const place = pathOf(path);
  const host = hostOf(exchange.request.hostname ?? '');
  if (place === undefined || host === undefined) return bypass('host');
  const { protocol = 'http' } = clientOf(exchange);
  const address = `${protocol}:${host}${pathOf(mount) ?? ''}>${place}${queryOf(path, query)}`;
  const name = `http:1:gateway.${upstream.name}:get:${address}`;
  return { kind: 'place', name: fit(name, digests), stampNames: [EPOCH, stampOf(call, place)] };
}

/** What a request that changed something on an upstream makes out of date there. */
export function outdatedBy(call: ForwardedCall, { status, headers }: Pick<Received, 'status' | 'headers'>): string[] {
  const { path, mount, upstream } = call;
  const { basePath } = upstream.options;
  // The answer names places as clients see them.
  const seen = (value: string | string[] | undefined): string | undefined =>
    typeof value === 'string' && mount !== undefined && value.startsWith(`${mount}/`)
      ? basePath + value.slice(mount.length)
      : String(value ?? '') || undefined;
  const { location, 'content-location': place } = headers;
  const named = { location: seen(location), 'content-location': seen(place) };
  const { host } = new URL(upstream.options.origin);
  return invalidatedPaths({ url: path, host, status, headers: named }).map((path) => stampOf(call, path));
}

const stampOf = ({ upstream }: ForwardedCall, path: string): string => `path:gateway.${upstream.name}:${path}`;

const fit = (name: string, digests: Digests): string =>
  name.length <= MAX_NAME ? name : `${name.slice(0, READABLE)}#${digests.of(name)}`;

const bypass = (detail: Detail | undefined): Bypass => ({ kind: 'bypass', detail });
