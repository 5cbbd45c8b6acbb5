import type { ExecutionContext } from '@nestjs/common';
import { addressOf, callerOf, userIdOf } from '../common/caller.ts';
import type { LockedRequest } from './lock-key.ts';

/** What is known about a call from outside, whatever it came over. */
export function lockedRequestOf(context: ExecutionContext): LockedRequest {
  const caller = callerOf(context);
  const { body, params, query } = caller.request;
  return { user: caller.user, userId: userIdOf(caller), ip: addressOf(caller), body, params, query };
}
