import type { MethodTemplate } from './method-template.ts';

const PLACEHOLDERS = Symbol.for('nestjs-keep:request-placeholders');

/** The placeholders in the decorators of a method that only a request can fill: `{params.id}`. */
export const requestPlaceholdersOf = (method: object): readonly string[] =>
  (Reflect.getMetadata(PLACEHOLDERS, method) ?? []) as readonly string[];

/** Remembers them for start-up, where it is known whether the method is a route. */
export function needsRequest(method: object, templates: readonly (MethodTemplate | undefined)[]): void {
  const placeholders = templates.flatMap((template) => template?.from('request') ?? []);
  if (placeholders.length === 0) return;
  Reflect.defineMetadata(PLACEHOLDERS, [...requestPlaceholdersOf(method), ...placeholders], method);
}
