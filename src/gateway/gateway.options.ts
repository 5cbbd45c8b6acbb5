import { isToken } from './hop-headers.ts';
import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { as, duration, durationOrMs, either, flag, integer, number, rule, size, text } from '../common/option-rules.ts';
import { readOptions } from '../common/read-options.ts';

/** How long an upstream may take. */
export interface UpstreamTimeouts {
  /** To accept a connection, looking its name up included. @default '1s' */
  readonly connect?: Duration;
  /** To answer with headers, once it has the request. @default '10s' */
  readonly headers?: Duration;
  /** Between two pieces of a body. @default '30s' */
  readonly body?: Duration;
  /** For all of it, retries and the whole body included. @default '60s' */
  readonly total?: Duration;
}

/** When a GET or HEAD is sent once more. */
export interface UpstreamRetries {
  /** How often at most. 0 to 10. @default 2 */
  readonly max?: number;
  /** Share of the requests of the last ten seconds that may be retries; 30 always may. 0 to 1. @default 0.2 */
  readonly budget?: number;
}

/** The circuit breaker in front of an upstream: the circuit `gateway:orders` for the upstream `orders`. */
export interface UpstreamBreaker {
  /** Share of failed calls that opens it. 0 to 100. @default that of the cache module, 50 */
  readonly errorThresholdPercentage?: number;
  /** How long it stays open before a trial call; a bare number is in milliseconds. @default that of the cache module, '30s' */
  readonly resetTimeout?: Duration | number;
  /** Calls within ten seconds that it takes to open it. 0 to 1000000. @default 10 */
  readonly volumeThreshold?: number;
}

/** How responses of an upstream are cached. What they say about it themselves comes first. */
export interface UpstreamCache {
  /** How long a response is fresh that does not say so, where the request has no credentials. @default not at all */
  readonly default?: Duration;
  /** How long a response that was fresh once is served when the upstream fails, unless it says so itself. @default '1m' */
  readonly grace?: Duration;
  /** Larger bodies are not stored: a number of bytes, or `'1mb'`. @default `http.maxBody` of the cache module */
  readonly maxBody?: number | string;
}

/** A service that requests are forwarded to. */
export interface UpstreamOptions {
  /** Scheme, host and port: `'http://orders:3000'`. Nothing in a request changes it. */
  readonly origin: string;
  /** What every forwarded path begins with. @default '/' */
  readonly basePath?: string;
  /** Whether it may resolve to loopback, link-local, metadata and other addresses that no service has. @default false */
  readonly allowPrivate?: boolean;
  readonly timeouts?: UpstreamTimeouts;
  readonly retry?: UpstreamRetries | false;
  readonly breaker?: UpstreamBreaker | false;
  readonly cache?: UpstreamCache | false;
  /** A larger request is answered with 413: a number of bytes, or `'1mb'`. @default '1mb' */
  readonly maxRequestBody?: number | string;
  /** Set on every request to it, in place of what the client says. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Requests under way at a time; more are answered with 503. 1 to 10000. @default 256 */
  readonly connections?: number;
  /** Tells it in `X-Request-Timeout-Ms` how many milliseconds are left. @default false */
  readonly tellDeadline?: boolean;
}

export interface GatewayOptions {
  /** How the gateway calls itself in `Via` and `Proxy-Status`. 1 to 64 characters of a token. @default 'gateway' */
  readonly name?: string;
  /** By the names that they are forwarded to by. */
  readonly upstreams: Readonly<Record<string, UpstreamOptions>>;
}

/** `UpstreamOptions` with every default filled in; durations in milliseconds, sizes in bytes. */
export interface ResolvedUpstream {
  readonly origin: string;
  /** Without a slash at its end; empty for the root. */
  readonly basePath: string;
  readonly allowPrivate: boolean;
  readonly timeouts: {
    readonly connectMs: number;
    readonly headersMs: number;
    readonly bodyMs: number;
    readonly totalMs: number;
  };
  readonly retry: { readonly max: number; readonly budget: number } | undefined;
  readonly breaker: UpstreamBreaker | undefined;
  readonly cache: ResolvedUpstreamCache | undefined;
  readonly maxRequestBytes: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly tellDeadline: boolean;
}

export interface ResolvedUpstreamCache {
  /** 0: not at all. */
  readonly defaultMs: number;
  readonly graceMs: number;
  /** Undefined: as the cache module says. */
  readonly maxBodyBytes: number | undefined;
}

export interface ResolvedGatewayOptions {
  readonly name: string;
  readonly upstreams: ReadonlyMap<string, ResolvedUpstream>;
}

const TIMEOUT_DEFAULTS = { connectMs: 1_000, headersMs: 10_000, bodyMs: 30_000, totalMs: 60_000 };
const RETRY_DEFAULTS = { max: 2, budget: 0.2 };
const BREAKER_DEFAULTS = { volumeThreshold: 10 };
const CACHE_DEFAULTS = { defaultMs: 0, graceMs: 60_000, maxBodyBytes: undefined };

const off = rule('false', (value) => (value === false ? false : undefined));
const someTime = duration('1ms', '1h');

const origin = rule("an http or https origin such as 'http://orders:3000', its path in basePath", (value) => {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined;
  const { protocol, pathname, search, hash, username, password, origin: read } = new URL(value);
  const isPlain = pathname === '/' && search + hash + username + password === '';
  return isPlain && (protocol === 'http:' || protocol === 'https:') ? read : undefined;
});

const headerSet = rule(
  'an object of header names and values',
  (value): Readonly<Record<string, string>> | undefined => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const pairs = Object.entries(value) as [string, unknown][];
    const isRight = pairs.every(
      ([name, said]) => isToken(name) && typeof said === 'string' && /^[\t\x20-\x7e\x80-\xff]*$/.test(said),
    );
    return isRight ? Object.fromEntries(pairs.map(([name, said]) => [name.toLowerCase(), said as string])) : undefined;
  },
);

const UPSTREAM_RULES = {
  origin,
  basePath: text(
    "an absolute path such as '/v2', without . and .. in it",
    /^(?:\/(?!\.{1,2}(?:\/|$))[\w\-.~!$&'()*+,;=:@%]*)+$/,
  ),
  allowPrivate: flag,
  timeouts: {
    connect: as('connectMs', someTime),
    headers: as('headersMs', someTime),
    body: as('bodyMs', someTime),
    total: as('totalMs', duration('1ms', '1d')),
  },
  retry: either(off, { max: integer(0, 10), budget: number(0, 1) }),
  breaker: either(off, {
    errorThresholdPercentage: number(0, 100),
    resetTimeout: durationOrMs('1ms', '1d'),
    volumeThreshold: integer(0, 1_000_000),
  }),
  cache: either(off, {
    default: as('defaultMs', duration('1ms', '365d')),
    grace: as('graceMs', duration('0ms', '30d')),
    maxBody: as('maxBodyBytes', size('0b', '512mb')),
  }),
  maxRequestBody: as('maxRequestBytes', size('0b', '64gb')),
  headers: { ...headerSet, isSecret: true },
  connections: integer(1, 10_000),
  tellDeadline: flag,
};

const GATEWAY_RULES = {
  name: rule('1 to 64 characters of a token', (value) =>
    typeof value === 'string' && value.length <= 64 && isToken(value) ? value : undefined,
  ),
  upstreams: rule('an object of upstreams by name', (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined,
  ),
};

/** Short and plain: it is in keys, metrics and the names of circuits. */
const UPSTREAM_NAME = /^[\w\-.]{1,64}$/;

/** @throws InvalidOptionsError naming everything that is wrong */
export function resolveGatewayOptions(options: GatewayOptions): ResolvedGatewayOptions {
  const faults: string[] = [];
  const { name = 'gateway', upstreams = {} } = readOptions(options, GATEWAY_RULES, faults);
  if (faults.length === 0 && Object.keys(upstreams).length === 0) faults.push('upstreams: there must be at least one');
  const read = Object.entries(upstreams).map(([key, given]) => [key, resolveUpstream(key, given, faults)] as const);
  if (faults.length > 0) throw new InvalidOptionsError('GatewayModule cannot start with these options', faults);
  return { name, upstreams: new Map(read) };
}

function resolveUpstream(name: string, given: unknown, faults: string[]): ResolvedUpstream {
  const path = `upstreams.${name}`;
  if (!UPSTREAM_NAME.test(name)) faults.push(`${path}: its name must be 1 to 64 letters, digits, -, _ and .`);
  const before = faults.length;
  const read = readOptions(given, UPSTREAM_RULES, faults, path);
  if (read.origin === undefined && faults.length === before)
    faults.push(`${path}.origin: missing; it is ${origin.allowed}`);
  return {
    origin: read.origin ?? '',
    basePath: (read.basePath ?? '').replace(/\/+$/, ''),
    allowPrivate: read.allowPrivate ?? false,
    timeouts: { ...TIMEOUT_DEFAULTS, ...read.timeouts },
    retry: read.retry === false ? undefined : { ...RETRY_DEFAULTS, ...read.retry },
    breaker: read.breaker === false ? undefined : { ...BREAKER_DEFAULTS, ...read.breaker },
    cache: read.cache === false ? undefined : { ...CACHE_DEFAULTS, ...read.cache },
    maxRequestBytes: read.maxRequestBytes ?? 1024 ** 2,
    headers: read.headers ?? {},
    connections: read.connections ?? 256,
    tellDeadline: read.tellDeadline ?? false,
  };
}
