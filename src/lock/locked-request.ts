import type { ExecutionContext } from '@nestjs/common';
import type { LockedRequest } from './lock-key.ts';

type Bag = Readonly<Record<string, unknown>> | null | undefined;

/** What is known about a call from outside, whatever it came over. */
export function lockedRequestOf(context: ExecutionContext): LockedRequest {
  switch (context.getType<string>()) {
    case 'http': {
      const { user, ip, body, params, query } = context.switchToHttp().getRequest<Record<string, unknown>>();
      return { ...callerOf(user, ip), body, params, query };
    }
    case 'graphql': {
      const [, args, graphql] = context.getArgs<[unknown, unknown, Bag]>();
      const request = requestOf(graphql);
      return { ...callerOf(request?.['user'] ?? graphql?.['user'], request?.['ip']), body: args };
    }
    case 'ws': {
      const client = context.switchToWs().getClient<Bag>();
      const [data, handshake] = [client?.['data'] as Bag, client?.['handshake'] as Bag];
      const socket = client?.['_socket'] as Bag;
      const user = client?.['user'] ?? data?.['user'];
      return {
        ...callerOf(user, handshake?.['address'] ?? socket?.['remoteAddress']),
        body: context.switchToWs().getData(),
      };
    }
    default: {
      const message = context.switchToRpc().getContext<Bag>();
      return { ...callerOf(message?.['user'], undefined), body: context.switchToRpc().getData() };
    }
  }
}

/** Where drivers put the request that an operation came with. */
function requestOf(graphql: Bag): Bag {
  const reply = graphql?.['reply'] as Bag;
  return (graphql?.['req'] ?? graphql?.['request'] ?? reply?.['request']) as Bag;
}

function callerOf(user: unknown, ip: unknown): Pick<LockedRequest, 'user' | 'userId' | 'ip'> {
  return { user, userId: userIdOf(user), ip: addressOf(ip) };
}

function userIdOf(user: unknown): string | undefined {
  if (typeof user !== 'object' || user === null) return undefined;
  const { id, userId, sub } = user as Readonly<Record<string, unknown>>;
  const known = [id, userId, sub].find(isId);
  return known === undefined ? undefined : String(known);
}

const isId = (value: unknown): value is string | number =>
  typeof value === 'number' || (typeof value === 'string' && value !== '');

/** An IPv4 address written as IPv6 is the same address. */
const addressOf = (ip: unknown): string | undefined =>
  typeof ip === 'string' && ip !== '' ? ip.replace(/^::ffff:(?=\d+\.)/i, '') : undefined;
