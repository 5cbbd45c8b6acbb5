import { Inject, type InjectionToken, Optional } from '@nestjs/common';
import { rejected } from './begin.ts';
import { InvalidOptionsError } from './errors.ts';

/** What may be decorated: the interception is asynchronous, so the method has to be as well. */
export type AsyncMethod = (...args: never[]) => Promise<unknown>;

export type AsyncMethodDecorator<M extends AsyncMethod> = (
  prototype: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** One call of a decorated method. */
export interface Invocation<S> {
  readonly service: S;
  /** What tells this implementation from every other: `Child.find`, or `Child/Base.find` where `super` led there. */
  readonly name: string;
  readonly args: readonly unknown[];
  /** The instance that the method was called on. */
  readonly host: object;
  /** Runs the method as it was written. */
  readonly proceed: () => Promise<unknown>;
}

/** What a method decorator does around the method. */
export interface Interception<S> {
  /** The provider that does the work; Nest puts it on every instance it builds. */
  readonly token: InjectionToken<S>;
  readonly around: (invocation: Invocation<S>) => Promise<unknown>;
  /** Called where no service is: built by hand, or without the module. It may throw; else the method runs. */
  readonly absent?: (name: string) => void;
  /** Whether the framework applies the rule before this method is reached, so that the wrapper steps aside. */
  readonly delegated?: (method: object) => boolean;
}

/** A decorated method as its decorator sees it. */
export interface Declaration {
  readonly prototype: object;
  readonly property: string | symbol;
  /** `Class.method`, for messages. */
  readonly name: string;
  /** The method as it was written, under whatever decorators of ours stand below. */
  readonly original: Method;
}

export type Method = (this: unknown, ...args: unknown[]) => Promise<unknown>;

interface Reservation {
  readonly slot: symbol;
  readonly token: InjectionToken;
}

const ORIGINAL = Symbol.for('nestjs-keep:original');
const RESERVATIONS = Symbol.for('nestjs-keep:reservations');

/** Services of instances that cannot take a property. */
const ofSealed = new WeakMap<object, Map<symbol, unknown>>();

/**
 * Replaces a method by one that hands each call to `around`, whatever builds the instance: any scope, any app.
 *
 * It has to happen when the class is defined: Nest registers routes, and keeps the methods it found, before any
 * start-up hook runs. The service comes by property injection, so two applications never share one.
 *
 * @throws TypeError for anything but an instance method
 */
export function wrapMethod<S>(
  prototype: object,
  property: string | symbol,
  descriptor: PropertyDescriptor,
  { token, around, absent, delegated }: Interception<S>,
): Method {
  const { original, name } = declarationOf(prototype, property, descriptor);
  const inner = descriptor.value as Method;
  const slot = reserve(prototype, token);
  const nameOn = nameReader(prototype, property, name);
  let isDelegated: boolean | undefined;

  const run = (self: unknown, args: readonly unknown[]): Promise<unknown> => {
    const proceed = () => inner.apply(self, args as unknown[]);
    // Asked of the finished method: a decorator above ours may be the one that makes it a route.
    isDelegated ??= delegated?.(Reflect.get(prototype, property) as object) ?? false;
    if (isDelegated) return proceed();
    const service = (self as Record<symbol, S | undefined> | undefined)?.[slot];
    if (service !== undefined) {
      const host = self as object;
      return around({ service, host, name: nameOn(host), args, proceed });
    }
    absent?.(name);
    return proceed();
  };

  // Not an async method: it would cost a cached one a promise more than what it calls.
  const wrapper: Method = function (...args) {
    // As `begin` does it, without the closure: this is on the path of every hit in memory.
    try {
      const result = run(this, args);
      return result instanceof Promise ? result : Promise.resolve(result);
    } catch (error) {
      return rejected(error);
    }
  };
  impersonate(wrapper, inner);
  Reflect.defineMetadata(ORIGINAL, original, wrapper);
  descriptor.value = wrapper;
  return wrapper;
}

/** @throws TypeError for anything but an instance method */
export function declarationOf(
  prototype: object,
  property: string | symbol,
  descriptor: PropertyDescriptor | undefined,
): Declaration {
  const name = `${classNameOf(typeof prototype === 'function' ? { constructor: prototype } : prototype)}.${String(property)}`;
  const method: unknown = descriptor?.value;
  if (typeof prototype === 'function' || typeof method !== 'function') {
    throw new TypeError(`${name} is not an instance method: nothing else can be decorated`);
  }
  const original = (Reflect.getMetadata(ORIGINAL, method) ?? method) as Method;
  return { prototype, property, name, original };
}

/**
 * For `absent`, where running the method as it was written would leave out what its decorator stands for.
 * @throws InvalidOptionsError always
 */
export const refuseToRun =
  (decorator: string) =>
  (name: string): never => {
    throw new InvalidOptionsError(`${name} does not run without its @${decorator}`, [
      'this instance has no running CacheModule: import it once in the root module, and let Nest build the instance',
    ]);
  };

/**
 * Gives an instance that Nest did not build the services its class asks for.
 * @param resolve undefined where the application has no such provider
 */
export function fillReservations(instance: object, resolve: (token: InjectionToken) => unknown): void {
  for (const { slot, token } of reservationsOf(instance)) {
    const service = resolve(token);
    if (service !== undefined) Reflect.set(instance, slot, service);
  }
}

/** Whether methods of the class, or of one it extends, are decorated. */
export const hasWrappedMethods = (prototype: object): boolean => reservationsOf(prototype).length > 0;

const reservationsOf = (target: object): readonly Reservation[] =>
  (Reflect.getMetadata(RESERVATIONS, target) ?? []) as readonly Reservation[];

const slotOf = (token: InjectionToken): symbol =>
  Symbol.for(`nestjs-keep:service:${typeof token === 'function' ? token.name : String(token)}`);

/** Asks Nest to fill the slot on every instance of the class: once, however many methods are decorated. */
function reserve(prototype: object, token: InjectionToken): symbol {
  const slot = slotOf(token);
  if (slot in prototype) return slot;
  Object.defineProperty(prototype, slot, slotAccess(slot));
  Reflect.defineMetadata(RESERVATIONS, [...reservationsOf(prototype), { slot, token }], prototype);
  Inject(token)(prototype, slot);
  Optional()(prototype, slot);
  return slot;
}

/** Nest assigns; this keeps the service out of JSON, spreads and comparisons, and off frozen instances. */
const slotAccess = (slot: symbol): PropertyDescriptor => ({
  configurable: true,
  get(this: object) {
    return ofSealed.get(this)?.get(slot);
  },
  set(this: object, service: unknown) {
    if (Object.isExtensible(this)) {
      Object.defineProperty(this, slot, { value: service, writable: true, configurable: true });
      return;
    }
    const services = ofSealed.get(this) ?? new Map<symbol, unknown>();
    ofSealed.set(this, services.set(slot, service));
  },
});

/** Carries over what decorators written below ours have said about the method: routes, guards, schedules. */
function impersonate(wrapper: Method, method: Method): void {
  for (const key of Reflect.getMetadataKeys(method) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapper);
  }
  for (const [property, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(method))) {
    if (property !== 'prototype') Object.defineProperty(wrapper, property, descriptor);
  }
}

/**
 * Subclasses inherit a method but not each other's data, so the class of the instance names it; and a method
 * reached through `super` is not the override that called it.
 */
function nameReader(declaring: object, property: string | symbol, declared: string): (host: object) => string {
  const names = new WeakMap<object, string>();
  return (host) => {
    const prototype = Object.getPrototypeOf(host) as object | null;
    if (prototype === null || prototype === declaring) return declared;
    const known = names.get(prototype);
    if (known !== undefined) return known;
    const isOwn = implementerOf(prototype, property) === declaring;
    const name = isOwn ? `${classNameOf(prototype)}.${String(property)}` : `${classNameOf(prototype)}/${declared}`;
    names.set(prototype, name);
    return name;
  };
}

function implementerOf(start: object, property: string | symbol): object | null {
  let prototype: object | null = start;
  while (prototype !== null && !Object.hasOwn(prototype, property)) {
    prototype = Object.getPrototypeOf(prototype) as object | null;
  }
  return prototype;
}

const classNameOf = (prototype: object): string => {
  const { constructor } = prototype as { constructor?: unknown };
  return typeof constructor === 'function' && constructor.name !== '' ? constructor.name : 'Anonymous';
};
