import type { ExecutionContext } from '@nestjs/common';
import type { LimitedRequest } from './limited-request.ts';

/** Who is calling and with what, whatever it came over. */
export interface Caller {
  /** What functions of policies are given. */
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
      return callerOfRequest(context.switchToHttp().getRequest<Bag>());
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

function callerOfRequest(request: Bag): Caller {
  const socket = bag(request?.['socket']) ?? bag(bag(request?.['raw'])?.['socket']);
  return {
    request: (request ?? NO_REQUEST) as LimitedRequest,
    user: request?.['user'],
    ip: request?.['ip'],
    remoteAddress: socket?.['remoteAddress'],
  };
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
