import { UseGuards } from '@nestjs/common';
import { GUARDS_METADATA } from '@nestjs/common/constants.js';
import { type Duration, toMs } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { isHandler } from '../common/handler-metadata.ts';
import { received } from '../common/read-options.ts';
import { declarationOf, type Invocation, refuseToRun, wrapMethod } from '../common/wrap-method.ts';
import { RateLimitExceededError } from './rate-limit.errors.ts';
import { HandlerRateLimitGuard } from './rate-limit.guard.ts';
import { type RateLimitPolicy, readPolicy } from './rate-limit.policy.ts';
import { addRule, type RateLimitRule, rulesOn, skip } from './rate-limit.rules.ts';
import { RateLimitService } from './rate-limit.service.ts';

/** For methods and for the classes of handlers. */
export type RateLimitDecorator = (
  target: object,
  property?: string | symbol,
  descriptor?: TypedPropertyDescriptor<never>,
) => void;

/**
 * Limits how often each user, or each address without one, may call a handler; several decorators on one handler are
 * decided together. What stands on a method replaces what stands on its class.
 *
 * On handlers a guard of its own decides, behind the other guards of the method: 429 with `Retry-After` on HTTP, the
 * transport's own exception elsewhere. A method of any other provider is limited for all its callers together, or for
 * each by a function of its arguments, and rejects with RateLimitExceededError. Without a running `CacheModule` every
 * call fails: nothing runs unprotected.
 *
 * @param limit calls within any window
 * @param window a bare number is seconds
 * @throws InvalidOptionsError when the class is defined, naming the method and everything that is wrong
 * @publicApi
 */
export function RateLimit(limit: number, window: number | Duration): MethodDecorator & ClassDecorator;
/** @param policy a name from the module's `rateLimit.policies`, a policy, or several */
export function RateLimit(
  policy: string | RateLimitPolicy | readonly RateLimitPolicy[],
): MethodDecorator & ClassDecorator;
export function RateLimit(
  given: number | string | RateLimitPolicy | readonly RateLimitPolicy[],
  window?: number | Duration,
): MethodDecorator & ClassDecorator {
  return (target: object, property?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (property === undefined) limitClass(target as new () => unknown, ruleOf(given, window, nameOfClass(target)));
    else limitMethod(target, property, descriptor, (name) => ruleOf(given, window, name));
  };
}

/** Exempts a handler, or all handlers of a class, from what stands on its class and from the module's `default`. */
export function SkipRateLimit(): MethodDecorator & ClassDecorator {
  return (target: object, property?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (property === undefined) skip(target);
    else skip(handlerOf(target, property, descriptor).value);
  };
}

function limitClass(target: new () => unknown, rule: RateLimitRule): void {
  addRule(target, rule);
  useGuardOnce(target, () => UseGuards(HandlerRateLimitGuard)(target));
}

function limitMethod(
  prototype: object,
  property: string | symbol,
  descriptor: PropertyDescriptor | undefined,
  read: (name: string) => RateLimitRule,
): void {
  const { name } = declarationOf(prototype, property, descriptor);
  const rule = read(name);
  const method = handlerOf(prototype, property, descriptor);
  // A second decorator joins the first: they are decided together.
  if (rulesOn(method.value).length === 0) {
    wrapMethod<RateLimitService>(prototype, property, method, {
      token: RateLimitService,
      around: (invocation) => limitCall(invocation, Reflect.get(prototype, property) as object),
      absent: refuseToRun('RateLimit'),
      delegated: isHandler,
    });
  }
  addRule(method.value, rule);
  useGuardOnce(method.value, () => UseGuards(HandlerRateLimitGuard)(prototype, property, method));
}

type MethodDescriptor = Omit<PropertyDescriptor, 'value'> & { value: object };

/** @throws TypeError for anything but an instance method */
function handlerOf(prototype: object, property: string | symbol, descriptor: PropertyDescriptor | undefined) {
  declarationOf(prototype, property, descriptor);
  return descriptor as MethodDescriptor;
}

function useGuardOnce(target: object, use: () => void): void {
  const guards = (Reflect.getMetadata(GUARDS_METADATA, target) ?? []) as readonly unknown[];
  if (!guards.includes(HandlerRateLimitGuard)) use();
}

/** A method that nobody calls from outside: what counts is who it is called for, or that it is called at all. */
async function limitCall({ service, name, args, proceed }: Invocation<RateLimitService>, method: object) {
  const request = service.requestOfCall(rulesOn(method), name, args);
  const { decision } = await service.spend(request);
  if (!decision.allowed) throw new RateLimitExceededError(decision.retryAfterMs, decision.violated);
  return proceed();
}

/** @throws InvalidOptionsError naming the method or class */
function ruleOf(given: unknown, window: unknown, name: string): RateLimitRule {
  if (typeof given === 'string' && window === undefined) return { named: given };
  const isPlain = typeof given !== 'object' || given === null;
  const policies: readonly unknown[] = isPlain ? [plainPolicy(given, window, name)] : [given].flat();
  const faults = policies.length === 0 ? ['give at least one policy'] : [];
  for (const policy of policies) readPolicy(policy, { name, onOutage: 'local' }, faults);
  if (faults.length > 0) throw new InvalidOptionsError(`${name}: wrong options of @RateLimit`, faults);
  return { policies: policies as Partial<RateLimitPolicy>[] };
}

function plainPolicy(limit: unknown, window: unknown, name: string): object {
  const ms = msOf(window);
  if (ms !== undefined) return { limit, window: `${ms}ms` };
  throw new InvalidOptionsError(`${name}: wrong options of @RateLimit`, [
    `window: must be a number of seconds, or a duration such as '1m', of at least 1 ms; received ${received(window)}`,
  ]);
}

function msOf(window: unknown): number | undefined {
  try {
    const ms = toMs(window as number | Duration, 's');
    return ms > 0 ? ms : undefined;
  } catch {
    return undefined;
  }
}

const nameOfClass = (target: object): string => (target as { readonly name?: string }).name ?? 'Anonymous';
