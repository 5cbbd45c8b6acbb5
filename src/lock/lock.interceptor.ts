import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor, Optional } from '@nestjs/common';
import { Observable, type Subscriber, type Subscription } from 'rxjs';
import { takeFromGuard } from './lock-claims.ts';
import { currentWork, type ProtectedWork } from './lock-context.ts';
import { type LockOperation, lockOperationOf } from './lock-operation.ts';
import { problemFor } from './lock-problem.ts';
import { type LockedWork, LockService } from './lock.service.ts';
import { lockedRequestOf } from './locked-request.ts';

/**
 * Takes the lock of a handler behind all guards and gives it back when the handler has ended: a client that hangs up, or
 * an interceptor that gives up waiting, does not free the lock of work that goes on. `@WithLock` brings it along.
 */
@Injectable()
export class LockInterceptor implements NestInterceptor {
  constructor(@Optional() private readonly locks?: LockService) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const operation = lockOperationOf(context.getHandler());
    const { locks } = this;
    // Without a service, and where only the arguments tell the key, the method itself does it or refuses to run.
    if (operation === undefined || locks === undefined || operation.key.needsArguments) return next.handle();
    return new Observable((subscriber) => {
      const begun = takeFromGuard(operation, context) ?? beginFor(locks, operation, context);
      return new HandlerRun(operation, subscriber, next).start(begun);
    });
  }
}

/** @throws what the transport of the handler understands */
export async function beginFor(
  locks: LockService,
  operation: LockOperation,
  context: ExecutionContext,
): Promise<LockedWork> {
  try {
    const { key, isPerCaller } = operation;
    const isFixed = !isPerCaller && !key.hasPlaceholders;
    const resource = isFixed ? key.forCall([]) : key.forRequest(lockedRequestOf(context));
    return await locks.begin(resource, operation.options, undefined, key.publicName);
  } catch (error) {
    throw await problemFor(error, operation, context);
  }
}

const DONE = { status: 'fulfilled', value: undefined } as const;

/** One call of a handler under its lock. Its stream completes when the lock was given back. */
class HandlerRun {
  #work: LockedWork | undefined;
  #inContext: ProtectedWork | undefined;
  #handling: Subscription | undefined;
  #isOver = false;

  constructor(
    private readonly operation: LockOperation,
    private readonly subscriber: Subscriber<unknown>,
    private readonly next: CallHandler,
  ) {}

  /** The result tells that nobody waits for the answer any more. */
  start(begun: LockedWork | Promise<LockedWork>): () => void {
    void this.#begin(begun);
    return () => {
      this.#handling?.unsubscribe();
      void this.#end(DONE);
    };
  }

  async #begin(begun: LockedWork | Promise<LockedWork>): Promise<void> {
    try {
      this.#work = await begun;
    } catch (error) {
      this.subscriber.error(error);
      return;
    }
    if (this.subscriber.closed) await this.#giveBack(DONE);
    else this.#work.run(() => this.#handle());
  }

  #handle(): void {
    this.#inContext = currentWork();
    if (this.#inContext !== undefined) this.#inContext.handler = this.operation;
    this.#handling = this.next.handle().subscribe({
      next: (value) => this.subscriber.next(value),
      error: (reason: unknown) => void this.#end({ status: 'rejected', reason }),
      complete: () => void this.#end(DONE),
    });
  }

  async #end(outcome: PromiseSettledResult<undefined>): Promise<void> {
    if (this.#isOver || this.#work === undefined) return;
    this.#isOver = true;
    const stillRunning = this.#inContext?.call;
    if (stillRunning !== undefined) {
      // Somebody has lost patience and gets an answer; the lock is for the work, which goes on.
      if (outcome.status === 'rejected') this.subscriber.error(outcome.reason);
      else this.subscriber.complete();
      await stillRunning;
    }
    await this.#giveBack(outcome);
  }

  async #giveBack(outcome: PromiseSettledResult<undefined>): Promise<void> {
    try {
      await this.#work?.finish(outcome);
      this.subscriber.complete();
    } catch (error) {
      this.subscriber.error(error);
    }
  }
}
