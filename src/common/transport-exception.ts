import { HttpException } from '@nestjs/common';
import { BRAND, isCacheInfrastructureError } from './errors.ts';

type TransportException = new (error: object) => Error;

const EXCEPTIONS: Readonly<Record<string, () => Promise<TransportException>>> = {
  rpc: async () => (await import('@nestjs/microservices')).RpcException,
  ws: async () => (await import('@nestjs/websockets')).WsException,
};

/**
 * An error as callers of this transport get to see it: the filters of messages and gateways tell them only what comes in
 * an exception of their own. It keeps our code, so that predicates such as `isRateLimitExceededError` know it.
 */
export async function transportException(error: unknown, transport: string): Promise<unknown> {
  if (!(error instanceof HttpException)) return error;
  const Exception = await EXCEPTIONS[transport]?.().catch(() => undefined);
  if (Exception === undefined) return error;
  const { code, retryAfterMs } = error as { readonly code?: string; readonly retryAfterMs?: number };
  const facts = { ...(code !== undefined && { code }), ...(retryAfterMs !== undefined && { retryAfterMs }) };
  const exception = new Exception({ status: 'error', statusCode: error.getStatus(), message: error.message, ...facts });
  return Object.assign(exception, facts, isCacheInfrastructureError(error) && { [BRAND]: true });
}
