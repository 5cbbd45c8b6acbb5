import { MetadataScanner, type ModulesContainer } from '@nestjs/core';
import { hasWrappedMethods, type Method } from './wrap-method.ts';

type NestModule = ModulesContainer extends Map<string, infer M> ? M : never;
type InstanceWrapper = NestModule['providers'] extends Map<unknown, infer W> ? W : never;

/** A method of a class that the application provides, where the class has decorated methods. */
export interface WrappedMethod {
  readonly prototype: object;
  readonly property: string;
  /** `Class.method`, where `Class` may have inherited the method. */
  readonly name: string;
  readonly method: Method;
  /** Whether every request has an instance of its own. */
  readonly isRequestScoped: boolean;
}

/** What Nest holds: providers, and what it applies on its own, such as guards. */
export const wrappersOf = (modules: ModulesContainer): InstanceWrapper[] =>
  [...modules.values()].flatMap(({ providers, controllers, injectables }) => [
    ...providers.values(),
    ...controllers.values(),
    ...injectables.values(),
  ]);

/** The methods of all classes with decorated methods, each class once, for what can be checked at start-up only. */
export function wrappedMethodsOf(modules: ModulesContainer): WrappedMethod[] {
  const scanner = new MetadataScanner();
  const classes = new Map<object, InstanceWrapper>();
  for (const wrapper of wrappersOf(modules)) {
    const prototype = prototypeOf(wrapper);
    if (prototype !== undefined && hasWrappedMethods(prototype)) classes.set(prototype, wrapper);
  }
  return [...classes].flatMap(([prototype, wrapper]) =>
    scanner.getAllMethodNames(prototype).map((property) => ({
      prototype,
      property,
      name: `${prototype.constructor.name}.${property}`,
      method: Reflect.get(prototype, property) as Method,
      isRequestScoped: !wrapper.isDependencyTreeStatic(),
    })),
  );
}

function prototypeOf({ metatype, isNotMetatype, instance }: InstanceWrapper): object | undefined {
  if (!isNotMetatype) return (metatype as { prototype?: object } | null)?.prototype;
  const value: unknown = instance;
  if (typeof value !== 'object' || value === null) return undefined;
  return (Object.getPrototypeOf(value) ?? undefined) as object | undefined;
}
