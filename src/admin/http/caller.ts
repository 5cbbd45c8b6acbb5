import type { ExecutionContext } from '@nestjs/common';
import { shownText } from '../../common/shown-text.ts';
import type { AdminAction } from '../admin.options.ts';

/** What Express and Fastify have in common. */
export interface AdminRequest {
  readonly method: string;
  readonly url: string;
  readonly ip?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: unknown;
  readonly query?: unknown;
  readonly user?: unknown;
  readonly id?: unknown;
}

/** Who sent a request that was let in. */
export interface AdminCaller {
  readonly actor: string;
  readonly ip: string | null;
  readonly requestId: string | null;
  readonly may: (action: AdminAction) => Promise<boolean>;
}

const callers = new WeakMap<object, AdminCaller>();

export const setCaller = (request: object, caller: AdminCaller): void => void callers.set(request, caller);

/** @throws Error for a request that went past the guard */
export function callerOf(request: object): AdminCaller {
  const caller = callers.get(request);
  if (caller === undefined) throw new Error('This request was not let in by the admin guard');
  return caller;
}

export const requestOf = (context: ExecutionContext): AdminRequest => context.switchToHttp().getRequest<AdminRequest>();

export const headerOf = ({ headers }: AdminRequest, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
};

/**
 * The user that the application knows, else who holds the token. Whoever takes every bearer for a user would take the
 * token for a name.
 */
export function actorOf({ user }: AdminRequest, token: string | null): string {
  const { id, sub, username, email } = (user ?? {}) as Readonly<Record<string, unknown>>;
  const known = [id, sub, username, email].find((each) => typeof each === 'string' || typeof each === 'number');
  const name = known === undefined ? 'token' : String(known);
  return token !== null && name.includes(token) ? 'token' : shownText(name);
}

export function requestIdOf(request: AdminRequest): string | null {
  const id = headerOf(request, 'x-request-id') ?? request.id;
  return typeof id === 'string' || typeof id === 'number' ? shownText(String(id)) : null;
}
