import { EventEmitter } from 'node:events';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { callOf, leaveToHandler, takeFromGuard } from './lock-claims.ts';
import type { LockOperation } from './lock-operation.ts';
import type { LockedWork } from './lock.service.ts';

const OPERATION = {} as LockOperation;

/** Work that says how often it was ended. */
function work(): LockedWork & { readonly ended: number } {
  const counted = {
    ended: 0,
    async finish(): Promise<void> {
      counted.ended += 1;
    },
  };
  return counted as unknown as LockedWork & { readonly ended: number };
}

function contextOf(type: string, ...args: unknown[]): ExecutionContextHost {
  const context = new ExecutionContextHost(args);
  context.setType(type);
  return context;
}

function left(context: ExecutionContextHost): ReturnType<typeof work> {
  const own = work();
  leaveToHandler(callOf(context)!, OPERATION, own, context);
  return own;
}

describe('what guards have locked', () => {
  it.each([
    ['a message of a WebSocket', (client: object) => contextOf('ws', client, {}, 'event')],
    ['a message of a microservice', () => contextOf('rpc', 'a plain text', {})],
    ['a request', () => contextOf('http', {}, new EventEmitter())],
    ['an operation of GraphQL', () => contextOf('graphql', undefined, {}, { res: new EventEmitter() }, {})],
  ])('is for one call of a client, not for its next one: %s', (_, contextFor) => {
    const client = {};
    const [first, second] = [contextFor(client), contextFor(client)];
    // The second one comes while another guard still decides about the first.
    const [one, two] = [left(first), left(second)];
    expect(takeFromGuard(OPERATION, first)).toBe(one);
    expect(takeFromGuard(OPERATION, second)).toBe(two);
    expect(takeFromGuard(OPERATION, first)).toBeUndefined();
    expect([one.ended, two.ended]).toEqual([0, 0]);
  });

  it.each(['finish', 'close'])('is given back once when the answer is over and nothing has begun: %s', (event) => {
    const response = new EventEmitter();
    const context = contextOf('http', {}, response);
    const own = left(context);
    response.emit(event);
    response.emit('close');
    expect(own.ended).toBe(1);
    expect(takeFromGuard(OPERATION, context)).toBeUndefined();
  });
});
