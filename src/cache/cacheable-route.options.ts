import type { ExecutionContext } from '@nestjs/common';
import type { Duration } from '../common/duration.ts';
import { duration, oneOf, rule, type RulesOf, size, text } from '../common/option-rules.ts';
import { callFunction, keyOption, namesOption } from './cache-decorator.options.ts';
import { type Coalescing, READ_RULES } from './get-or-set.options.ts';

/** Who may be answered with a stored response. */
export type ResponseScope = 'auto' | 'public' | 'user' | ((context: ExecutionContext) => string | undefined);

/** A response as it went to the client, for what is decided once it is known. */
export interface RouteResponse {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Buffer;
  /** What the handler and the interceptors around it returned; undefined where the handler answered by itself. */
  readonly value: unknown;
}

/** What `@Cacheable` understands on a route only. */
export interface RouteOnlyOptions {
  /**
   * `'auto'`: everybody without credentials; a request with `Authorization`, a cookie or a `request.user` goes to the
   * handler. `'public'`: everybody, credentials or not. `'user'`: each user has entries of their own. A function names
   * the group, a tenant for example; undefined goes to the handler. @default 'auto'
   */
  readonly scope?: ResponseScope;
  /** The query parameters that the response depends on. @default all of them */
  readonly query?: readonly string[];
  /** Query parameters that the response does not depend on; `'utm_*'` is all that begin so. */
  readonly ignoreQuery?: readonly string[];
  /** Request headers that the response depends on, beside those that its `Vary` names. */
  readonly vary?: readonly string[];
  /**
   * A request with cookies goes to the handler (`'bypass'`), is answered as if it had none (`'ignore'`), or has entries
   * by the values of these cookies. @default 'bypass' in scope 'auto', else 'ignore'
   */
  readonly cookies?: 'bypass' | 'ignore' | readonly string[];
  /** Statuses to store beside 200, 203, 301 and 308, and for how long: `{ 404: '10s' }`. */
  readonly statuses?: Readonly<Record<number, Duration>>;
  /** How long browsers may keep a response without asking; left out, they ask each time and get a short 304. */
  readonly browser?: Duration;
  /** Larger bodies are not stored: a number of bytes, or `'1mb'`. @default `http.maxBody` */
  readonly maxBody?: number | string;
  /**
   * `'first'`: in front of all interceptors, which do not run for a hit. `'bound'`: behind them, so that they run for
   * every request; for a hit, what comes back to them is undefined. @default 'first'
   */
  readonly position?: 'first' | 'bound';
}

/** How the responses of a route are cached. Whatever is left out comes from the module's options. */
export interface CacheableRouteOptions extends RouteOnlyOptions {
  /** How long a response is fresh, unless it says so itself in `Cache-Control`. */
  readonly ttl?: Duration;
  /** How long after that it is served when the handler fails (`stale-if-error`). */
  readonly grace?: Duration;
  /** How long after its TTL it is served at once and refreshed in the background; `true`: during the whole grace. */
  readonly staleWhileRevalidate?: boolean | Duration;
  /** Refreshes in the background once this share of the TTL has passed, 0 to 1. */
  readonly earlyRefresh?: number | false;
  /** Share of the TTL taken off at random, 0 to 1. */
  readonly jitter?: number;
  /** Whose handler run the requests of one key share: of all processes, of this one, none. */
  readonly coalesce?: Coalescing;
  /** Stands for path and query: a template such as `'item:{params.id}'`, or a function. */
  readonly key?: string | ((context: ExecutionContext) => string);
  /** Names the route in metrics. @default the class and the method */
  readonly name?: string;
  /** Labels to invalidate the response by: templates, or a function. */
  readonly tags?: readonly string[] | ((context: ExecutionContext, response: RouteResponse) => readonly string[]);
  /** A request that does not satisfy it goes to the handler. */
  readonly when?: (context: ExecutionContext) => boolean;
  /** A response that satisfies it is not stored. */
  readonly unless?: (context: ExecutionContext, response: RouteResponse) => boolean;
}

const NAME = /^[!#$%&'*+\-.^_`|~\w]+$/;
const names = (what: string) =>
  rule(`a list of ${what}`, (value) =>
    Array.isArray(value) && value.every((name) => typeof name === 'string' && NAME.test(name))
      ? (value as readonly string[])
      : undefined,
  );
const texts = rule('a list of texts', (value) =>
  Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '')
    ? (value as readonly string[])
    : undefined,
);
const shared = oneOf('auto', 'public', 'user');
const span = duration('1ms', '365d');
const cookieNames = names('cookie names');
const cookieModes = oneOf('bypass', 'ignore');

/** Statuses that are about one client, one moment or a part of a response are never stored. */
const isStatus = (status: number): boolean =>
  Number.isInteger(status) && status >= 200 && status < 500 && ![206, 304, 401, 403, 429].includes(status);

const statuses = rule(
  "statuses from 200 to 499 except 206, 304, 401, 403 and 429, each with a duration: { 404: '10s' }",
  (value): ReadonlyMap<number, number> | undefined => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const read = Object.entries(value).map(([status, ttl]) => [Number(status), span.read(ttl)] as const);
    const isRight = read.every(([status, ttlMs]) => isStatus(status) && ttlMs !== undefined);
    return isRight ? new Map(read as [number, number][]) : undefined;
  },
);

/** What only routes know; resolved, durations are milliseconds and sizes bytes. */
export const ROUTE_ONLY_RULES = {
  scope: rule(`${shared.allowed}, or a function`, (value) =>
    typeof value === 'function' ? (value as (context: ExecutionContext) => unknown) : shared.read(value),
  ),
  query: texts,
  ignoreQuery: texts,
  vary: names('header names'),
  cookies: rule(`${cookieModes.allowed}, or a list of cookie names`, (value) =>
    Array.isArray(value) ? cookieNames.read(value) : cookieModes.read(value),
  ),
  statuses,
  browser: duration('0ms', '365d'),
  maxBody: size('0b', '512mb'),
  position: oneOf('first', 'bound'),
} satisfies RulesOf<RouteOnlyOptions>;

export const ROUTE_RULES = {
  ...ROUTE_ONLY_RULES,
  ttl: READ_RULES.ttl,
  grace: READ_RULES.grace,
  staleWhileRevalidate: READ_RULES.staleWhileRevalidate,
  earlyRefresh: READ_RULES.earlyRefresh,
  jitter: READ_RULES.jitter,
  coalesce: READ_RULES.coalesce,
  name: text('a text of 1 to 120 characters', /^[^]{1,120}$/),
  key: keyOption,
  tags: namesOption,
  when: callFunction,
  unless: callFunction,
} satisfies RulesOf<CacheableRouteOptions>;
