import { type CanActivate, type ExecutionContext, Injectable, Optional } from '@nestjs/common';
import { refuseToRun } from '../common/wrap-method.ts';
import { callOf, leaveToHandler } from './lock-claims.ts';
import { lockOperationOf } from './lock-operation.ts';
import { beginFor } from './lock.interceptor.ts';
import { LockService } from './lock.service.ts';

/**
 * Takes the lock that `@WithLock` asks for already among the guards, where a conflict spares the guards and interceptors
 * behind it; the handler gives it back when it has ended. When a later guard denies, it is given back with the answer.
 * For `@UseGuards(LockGuard)` and `APP_GUARD`; without `@WithLock` it lets everybody in.
 *
 * @publicApi
 */
@Injectable()
export class LockGuard implements CanActivate {
  constructor(@Optional() private readonly locks?: LockService) {}

  /** @throws LockConflictError, LockUnavailableError, or what the transport understands instead */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const operation = lockOperationOf(context.getHandler());
    if (operation === undefined) return true;
    if (this.locks === undefined) return refuseToRun('WithLock')(operation.declaration.name);
    const call = callOf(context);
    // Where the lock could not be left for the handler it is taken in front of it.
    if (call === undefined || operation.key.needsArguments) return true;
    leaveToHandler(call, operation, await beginFor(this.locks, operation, context), context);
    return true;
  }
}
