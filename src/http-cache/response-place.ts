import type { KeyContext } from '../cache/method-template.ts';
import type { Detail } from './cache-status.ts';
import type { Digests } from './digests.ts';
import type { Exchange } from './exchange.ts';
import { headerOf } from './http-headers.ts';
import type { ResolvedHttpOptions } from './http.options.ts';
import { cookiesOf, hostOf, pathOf, queryOf } from './request-key.ts';
import type { RoutePolicy } from './route-policy.ts';
import { hasPrecondition } from './validators.ts';

/** Where the response to a request is kept. */
export interface Place {
  readonly kind: 'place';
  /** The key of its entry. */
  readonly name: string;
  /** By which unsafe requests invalidate it. */
  readonly path: string;
  readonly audience: 'shared' | 'user';
}

/** A request that the cache leaves alone, and why. */
export interface Bypass {
  readonly kind: 'bypass';
  readonly detail: Detail | undefined;
}

const MAX_NAME = 200;
/** What stays readable of a longer name. */
const READABLE = 160;

/** Decides whether a request may be answered from the store, and names its entry: no token, cookie or user in it. */
export class ResponsePlaces {
  constructor(
    private readonly http: ResolvedHttpOptions,
    private readonly digests: Digests,
  ) {}

  /** @throws what functions of the route throw; BadRequestException when the client left out what the key needs */
  of(policy: RoutePolicy, exchange: Exchange): Place | Bypass {
    const { request, url } = exchange;
    const { headers } = request;
    if (headers.range !== undefined) return bypass('range');
    if (hasPrecondition(headers)) return bypass(undefined);
    if (policy.operation.when?.(...([exchange.context] as never)) === false) return bypass('when');
    const scope = this.scopeOf(policy, exchange);
    if (typeof scope === 'object') return scope;
    const cookies = this.cookiesOf(policy, exchange);
    if (typeof cookies === 'object') return cookies;
    const path = pathOf(url);
    const host = hostOf(request.hostname ?? '');
    if (path === undefined || host === undefined) return bypass('host');
    const audience = policy.scope === 'user' ? 'user' : 'shared';
    return {
      kind: 'place',
      name: this.fit(this.nameOf(policy, exchange, scope + cookies, host + path)),
      path,
      audience,
    };
  }

  private nameOf(policy: RoutePolicy, exchange: Exchange, marks: string, address: string): string {
    const { key } = policy.operation;
    if (key.kind === 'arguments') {
      return `http:1:${policy.id}${marks}:get:${address}${queryOf(exchange.url, policy.query)}`;
    }
    const context: KeyContext = { name: policy.id, args: [exchange.context], request: exchange.request };
    return key.of(key.kind === 'template' ? { ...context, args: [] } : context) + marks;
  }

  /** The mark of those who share the response, or why nobody may. */
  private scopeOf({ scope }: RoutePolicy, { context, request }: Exchange): string | Bypass {
    if (scope === 'public') return '';
    if (scope === 'auto') {
      if (request.headers.authorization !== undefined) return bypass('authorization');
      return request.user === undefined || request.user === null ? '' : bypass('user');
    }
    if (scope !== 'user') {
      const group = scope(context);
      return isName(group) ? `:s.${this.digests.of(`scope ${group}`)}` : bypass('user');
    }
    const { principal = principalOf } = this.http;
    const name = principal(context) ?? undefined;
    return isName(name) ? `:u.${this.digests.of(`user ${name}`)}` : bypass('user');
  }

  private cookiesOf({ cookies }: RoutePolicy, { request }: Exchange): string | Bypass {
    const cookie = headerOf(request.headers, 'cookie');
    if (cookie === undefined || cookies === 'ignore') return '';
    if (cookies === 'bypass') return bypass('cookie');
    const listed = cookiesOf(cookie, cookies);
    return listed === '' ? '' : `:c.${this.digests.of(`cookies ${listed}`)}`;
  }

  private fit(name: string): string {
    return name.length <= MAX_NAME ? name : `${name.slice(0, READABLE)}#${this.digests.of(name)}`;
  }
}

const bypass = (detail: Detail | undefined): Bypass => ({ kind: 'bypass', detail });

const isName = (name: unknown): name is string | number =>
  (typeof name === 'string' && name !== '') || (typeof name === 'number' && !Number.isNaN(name));

interface User {
  readonly id?: string | number;
  readonly sub?: string | number;
}

const principalOf: NonNullable<ResolvedHttpOptions['principal']> = (context) => {
  const { user } = context.switchToHttp().getRequest<{ user?: User | null }>();
  return user?.id ?? user?.sub;
};
