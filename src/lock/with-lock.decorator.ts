import { UseInterceptors } from '@nestjs/common';
import { finalize, isObservable, type Observable } from 'rxjs';
import type { Duration } from '../common/duration.ts';
import { declarationOf, type Invocation, refuseToRun, wrapMethod } from '../common/wrap-method.ts';
import { isHandler } from '../common/handler-metadata.ts';
import { currentWork } from './lock-context.ts';
import {
  keyOfCall,
  type LockOperation,
  operationOf,
  setLockOperation,
  type WithLockOptions,
} from './lock-operation.ts';
import { plainProblem } from './lock-problem.ts';
import { LockInterceptor } from './lock.interceptor.ts';
import { LockService } from './lock.service.ts';

type Locked = (...args: never[]) => Promise<unknown> | Observable<unknown>;

/** A method that can be decorated: what it returns ends at some time. */
export type LockedMethodDecorator<M extends Locked> = (
  prototype: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/**
 * Runs the method while holding a lock, which is given back when the method has ended, not when a client hangs up.
 *
 * On handlers a plain name locks per caller: `lock:order:create:{userId}`, by address without a user. It is taken behind
 * all guards. Who finds it held is refused with LockConflictError (409, `Retry-After`), unless `wait` is given;
 * without the server it is LockUnavailableError (503). Without a running `CacheModule` every call fails: nothing runs
 * unprotected.
 *
 * @param ttl of the lease, in milliseconds or as a duration; it is prolonged while the method runs
 * @throws InvalidOptionsError when the class is defined, naming the method and everything that is wrong
 * @publicApi
 */
export function WithLock<M extends Locked>(name: string, ttl?: number | Duration): LockedMethodDecorator<M>;
export function WithLock<M extends Locked>(options: WithLockOptions): LockedMethodDecorator<M>;
export function WithLock<M extends Locked>(
  given: string | WithLockOptions,
  ttl?: number | Duration,
): LockedMethodDecorator<M> {
  return (prototype, property, descriptor) => {
    const operation = operationOf(given, ttl, declarationOf(prototype, property, descriptor));
    const method = wrapMethod<LockService>(prototype, property, descriptor, {
      token: LockService,
      around: (invocation) => runLocked(operation, invocation, Reflect.get(prototype, property) as object),
      absent: refuseToRun('WithLock'),
    });
    setLockOperation(method, operation);
    // On what Nest calls it sees the request; on other methods nobody asks for it.
    UseInterceptors(LockInterceptor)(prototype, property, descriptor as PropertyDescriptor);
  };
}

async function runLocked(
  operation: LockOperation,
  { service, args, proceed }: Invocation<LockService>,
  method: object,
): Promise<unknown> {
  const begun = currentWork();
  if (begun?.handler === operation) return begun.handle(proceed);
  const key = keyOfCall(operation, args, isHandler(method));
  const work = await service
    .begin(key, operation.options, undefined, operation.key.publicName)
    .catch((error: unknown) => {
      throw plainProblem(error, operation);
    });
  const [outcome] = await Promise.allSettled([work.run(proceed)]);
  if (outcome.status === 'rejected' || !isObservable(outcome.value)) return work.finish(outcome);
  // The work is what the stream does: it ends with it.
  return outcome.value.pipe(finalize(() => void work.finish({ status: 'fulfilled', value: undefined }).catch(ignore)));
}

const ignore = (): void => undefined;
