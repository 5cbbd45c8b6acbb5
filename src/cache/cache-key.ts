import { canonicalJson } from '../common/canonical-json.ts';
import { InvalidOptionsError, isSerializationError } from '../common/errors.ts';
import { type ParameterList, parameterListOf } from '../common/parameter-list.ts';
import type { Declaration } from '../common/wrap-method.ts';
import { type KeyContext, MethodTemplate } from './method-template.ts';

/** A function of the call; what it is called with is up to its option. */
export type CallFunction<R> = (...call: never) => R;

/** Keys, tags or patterns as an option gives them: templates, or a function. */
export type NamesOption = string | readonly string[] | CallFunction<string | readonly string[]>;

/** How the key of each call of one method is made. */
export type KeySource =
  | { readonly kind: 'arguments' | 'function'; readonly of: KeyReader }
  | { readonly kind: 'template'; readonly of: KeyReader; readonly template: MethodTemplate };
type KeyReader = (context: KeyContext) => string;

/** @throws InvalidOptionsError for a template that nothing could ever fill */
export function keySourceOf(key: string | CallFunction<string> | undefined, declaration: Declaration): KeySource {
  const subject = `${declaration.name}: key`;
  if (key === undefined) return { kind: 'arguments', of: defaultKeyOf(declaration) };
  if (typeof key === 'function') return { kind: 'function', of: keyByFunction(key, subject) };
  const template = new MethodTemplate(key, declaration, subject);
  return { kind: 'template', template, of: (context) => template.fill(context) };
}

const keyByFunction =
  (make: CallFunction<unknown>, subject: string): KeyReader =>
  ({ args }) => {
    const key = make(...(args as never));
    if (typeof key === 'string' && key.trim() !== '') return key;
    return fail(subject, 'the function must return a text that is not blank');
  };

/**
 * The default key: the method and everything it was given. Arguments that it does not declare are left out, because
 * callers such as schedulers and message servers pass more than a method asks for.
 */
function defaultKeyOf(declaration: Declaration): KeyReader {
  const list = parameterListOf(declaration.original);
  return ({ name, args }) => `${name}:${jsonOf(declaredOf(list, args), declaration)}`;
}

const declaredOf = ({ names, isOpen }: ParameterList, args: readonly unknown[]): readonly unknown[] =>
  isOpen || args.length <= names.length ? args : args.slice(0, names.length);

function jsonOf(args: readonly unknown[], { name }: Declaration): string {
  try {
    return withoutBraces(canonicalJson(args));
  } catch (error) {
    if (!isSerializationError(error)) throw error;
    return fail(name, `the arguments make no key: ${error.message}`);
  }
}

/** In a cluster, braces in a key choose its slot: not for users to say. */
const withoutBraces = (json: string): string =>
  BRACES.test(json)
    ? json.replaceAll(/[%{}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    : json;

const BRACES = /[%{}]/;

function fail(subject: string, fault: string): never {
  throw new InvalidOptionsError(subject, [fault]);
}
