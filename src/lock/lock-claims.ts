import type { ExecutionContext } from '@nestjs/common';
import type { LockOperation } from './lock-operation.ts';
import type { LockedWork } from './lock.service.ts';

/** How long the handler behind a guard may take to begin where nothing tells that it never will. */
const UNCLAIMED_MS = 1_000;

/** What guards have taken for handlers that have not begun, by what stands for the call. */
const claims = new WeakMap<object, Map<LockOperation, LockedWork>>();

interface HttpResponse {
  readonly raw?: NodeJS.EventEmitter;
  once?(event: string, listener: () => void): unknown;
}

/** What drivers of GraphQL put into the context of an operation. */
interface GraphqlContext {
  readonly res?: HttpResponse;
  readonly reply?: HttpResponse;
}

/** The object that guards and interceptors of one call have in common; undefined where there is none. */
export function callOf(context: ExecutionContext): object | undefined {
  const args = context.getArgs<unknown[]>();
  const position = { http: 0, graphql: 3, rpc: 1, ws: 1 }[context.getType<string>()] ?? 0;
  const call = args[position];
  return typeof call === 'object' && call !== null ? call : undefined;
}

/** Keeps work for the handler behind the guard, or ends it when that is never reached. */
export function leaveToHandler(
  call: object,
  operation: LockOperation,
  work: LockedWork,
  context: ExecutionContext,
): void {
  const ofCall = claims.get(call) ?? new Map<LockOperation, LockedWork>();
  claims.set(call, ofCall.set(operation, work));
  const endUnclaimed = (): void => {
    if (ofCall.get(operation) !== work) return;
    ofCall.delete(operation);
    void work.finish({ status: 'fulfilled', value: undefined }).catch(() => undefined);
  };
  const response = responseOf(context);
  const stream = response?.raw ?? response;
  if (stream?.once === undefined) setTimeout(endUnclaimed, UNCLAIMED_MS).unref();
  // A later guard has denied, or the client is gone.
  else for (const event of ['finish', 'close']) stream.once(event, endUnclaimed);
}

/** The answer that tells when all guards of a call are done; undefined where there is none. */
function responseOf(context: ExecutionContext): HttpResponse | undefined {
  const type: string = context.getType();
  if (type === 'http') return context.switchToHttp().getResponse<HttpResponse>();
  const { res, reply } = type === 'graphql' ? (context.getArgByIndex<GraphqlContext | undefined>(2) ?? {}) : {};
  return res ?? reply;
}

/** What a guard has taken for this call of the handler, once. */
export function takeFromGuard(operation: LockOperation, context: ExecutionContext): LockedWork | undefined {
  const call = callOf(context);
  const ofCall = call && claims.get(call);
  const work = ofCall?.get(operation);
  ofCall?.delete(operation);
  return work;
}
