import { HOST_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import { encodeKeyPart } from '../common/keys.ts';

/** What of a request names its entry. */
export interface RouteRequest {
  readonly url: string;
  /** Express cuts `url` down inside routers. */
  readonly originalUrl?: string;
  /** What Nest found in the host name, on controllers with a `host`. */
  readonly hosts?: Readonly<Record<string, string>>;
}

/**
 * `Controller.method`, with the version and host of the route: all that tells routes of one path apart, where two
 * modules have controllers of one name.
 */
export function routeNameOf(controller: NamedClass, handler: object, property: string | symbol): string {
  const version: unknown =
    Reflect.getMetadata(VERSION_METADATA, handler) ?? Reflect.getMetadata(VERSION_METADATA, controller);
  const host: unknown = Reflect.getMetadata(HOST_METADATA, controller);
  return `${controller.name}.${String(property)}${marksOf({ version, host })}`;
}

/**
 * The key of a GET request: host parameters, path and query, never headers. `?b=2&a=1` is `?a=1&b=2`, but values of
 * one name keep their order, and nothing is decoded: two requests that a handler could tell apart never share a key.
 */
export function routeKeyOf(name: string, { url, originalUrl = url, hosts = {} }: RouteRequest): string {
  const [path = '', ...query] = originalUrl.split('?');
  return `${name}${marksOf(hosts)}:${withoutBraces(path + sorted(query.join('?')))}`;
}

interface NamedClass {
  readonly name: string;
}

const marksOf = (marks: Readonly<Record<string, unknown>>): string =>
  Object.entries(marks)
    .filter(([, value]) => value !== undefined)
    .map(([mark, value]) => `;${mark}=${encodeKeyPart(String(value))}`)
    .join('');

/** A stable sort by the name of the parameter that `a`, `a[]`, `a[0]` and `%61` all belong to. */
function sorted(query: string): string {
  const pairs = query.split('&').filter((pair) => pair !== '');
  if (pairs.length === 0) return '';
  const named = pairs.map((pair) => ({ pair, name: baseNameOf(pair) }));
  return `?${named
    .sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)))
    .map(({ pair }) => pair)
    .join('&')}`;
}

function baseNameOf(pair: string): string {
  const [name = ''] = pair.split('=');
  return (decoded(name).split('[')[0] ?? '').replaceAll('+', ' ');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** In a cluster, braces in a key choose its slot: not for clients to say. In a URL they mean their encoded form. */
const withoutBraces = (url: string): string => url.replaceAll('{', '%7B').replaceAll('}', '%7D');
