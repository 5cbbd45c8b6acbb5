import { declarationOf, refuseToRun, wrapMethod } from '../common/wrap-method.ts';
import { IdempotencyService } from './idempotency.service.ts';
import { type IdempotentOptions, operationOf, setIdempotentOperation } from './idempotent.options.ts';

/**
 * Runs a route once for each `Idempotency-Key`, in all processes: whoever sends the same request with the same key again
 * gets the same answer, marked `Idempotent-Replayed: true`. For POST, PUT, PATCH and DELETE.
 *
 * Guards have passed before, everything else is part of what is not repeated. While the first request runs, others are
 * refused with 409; the same key on a request that says something else is 422; without the server it is 503. The key is
 * its user's own: nobody gets the answer to somebody else's request. Without a running `CacheModule` every call fails:
 * nothing runs unprotected.
 *
 * @throws InvalidOptionsError when the class is defined, naming the method and everything that is wrong
 * @publicApi
 */
export function Idempotent(options: IdempotentOptions = {}): MethodDecorator {
  return (prototype, property, descriptor) => {
    const operation = operationOf(options, declarationOf(prototype, property, descriptor));
    const method = wrapMethod<IdempotencyService>(prototype, property, descriptor, {
      token: IdempotencyService,
      // What there is to do was done in front of all interceptors and pipes.
      around: ({ proceed }) => proceed(),
      absent: refuseToRun('Idempotent'),
    });
    setIdempotentOperation(method, operation);
  };
}
