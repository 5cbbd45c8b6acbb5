import type { ExecutionContext } from '@nestjs/common';
import { parseAddress } from './ip-address.ts';

/** What may be asked of a call: the request of Express or Fastify, of a GraphQL operation, or its like of a message. */
export interface LimitedRequest {
  /** As the framework sees it: forwarded headers count only where its trust proxy setting says so. */
  readonly ip?: string | undefined;
  /** Put there by the application's own guards or middleware, once it knows who is calling. */
  readonly user?: Readonly<Record<string, unknown>> | null | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
}

/** Who is calling and with what, whatever it came over. */
export interface Caller {
  /** What functions and templates may look at. */
  readonly request: LimitedRequest;
  readonly user: unknown;
  /** As the framework says; forwarded headers count only where it trusts the proxy. */
  readonly ip: unknown;
  /** The other end of the connection. */
  readonly remoteAddress: unknown;
}

type Bag = Readonly<Record<string, unknown>> | null | undefined;

export function callerOf(context: ExecutionContext): Caller {
  switch (context.getType<string>()) {
    case 'http':
      // `switchToHttp` makes the context another object: this is on the path of every request.
      return callerOfRequest(context.getArgByIndex<Bag>(0));
    case 'graphql': {
      const [, args, graphql] = context.getArgs<[unknown, unknown, Bag]>();
      const { user, ip, remoteAddress, request } = callerOfRequest(requestOf(graphql));
      return messageOf({ user: user ?? graphql?.['user'], ip, remoteAddress, body: args, headers: request.headers });
    }
    case 'ws': {
      const client = context.switchToWs().getClient<Bag>();
      const [data, handshake, socket] = [bag(client?.['data']), bag(client?.['handshake']), bag(client?.['_socket'])];
      const remoteAddress = handshake?.['address'] ?? socket?.['remoteAddress'];
      const body: unknown = context.switchToWs().getData();
      return messageOf({ user: client?.['user'] ?? data?.['user'], ip: remoteAddress, remoteAddress, body });
    }
    default: {
      const message = bag(context.switchToRpc().getContext<unknown>());
      return messageOf({ user: message?.['user'], body: context.switchToRpc().getData<unknown>() });
    }
  }
}

const callerOfRequest = (request: Bag): Caller => new RequestCaller((request ?? NO_REQUEST) as LimitedRequest);

/** Asks the request when it is asked: frameworks work some of it out each time. */
class RequestCaller implements Caller {
  constructor(readonly request: LimitedRequest) {}

  get user(): unknown {
    return this.request.user;
  }

  get ip(): unknown {
    return this.request.ip;
  }

  get remoteAddress(): unknown {
    const { socket, raw } = this.request as LimitedRequest & { readonly socket?: unknown; readonly raw?: unknown };
    return (bag(socket) ?? bag(bag(raw)?.['socket']))?.['remoteAddress'];
  }
}

/** Where drivers of GraphQL put the request that an operation came with. */
function requestOf(graphql: Bag): Bag {
  const reply = bag(graphql?.['reply']);
  return bag(graphql?.['req'] ?? graphql?.['request'] ?? reply?.['request']);
}

interface Message {
  readonly user: unknown;
  readonly ip?: unknown;
  readonly remoteAddress?: unknown;
  readonly body: unknown;
  readonly headers?: LimitedRequest['headers'];
}

const messageOf = ({ user, ip, remoteAddress, body, headers = {} }: Message): Caller => ({
  request: { ...NO_REQUEST, user, ip, body, headers } as LimitedRequest,
  user,
  ip,
  remoteAddress,
});

const NO_REQUEST = { headers: {}, body: {}, params: {}, query: {} };

const bag = (value: unknown): Bag => (typeof value === 'object' ? (value as Bag) : undefined);

/** `id`, `userId` or `sub` of what the application's own guards have put on the request. */
export function userIdOf({ user }: Pick<Caller, 'user'>): string | undefined {
  if (typeof user !== 'object' || user === null) return undefined;
  const { id, userId, sub } = user as Readonly<Record<string, unknown>>;
  return callerName(id) ?? callerName(userId) ?? callerName(sub);
}

/** What names one caller: not an object, not a list, nothing blank. */
export function callerName(value: unknown): string | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value;
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))) return String(value);
  return undefined;
}

/** The caller's address in one form. What a proxy that we trust says may be anything, the socket's is real. */
export const addressOf = ({ ip, remoteAddress }: Pick<Caller, 'ip' | 'remoteAddress'>): string | undefined =>
  parseAddress(ip) ?? parseAddress(remoteAddress);
