import { BadRequestException } from '@nestjs/common';
import { canonicalJson } from '../common/canonical-json.ts';
import { InvalidOptionsError, isSerializationError } from '../common/errors.ts';
import { type KeyTemplate, parseTemplate, type Placeholder } from '../common/key-template.ts';
import { type ParameterList, parameterListOf } from '../common/parameter-list.ts';
import type { Declaration } from '../common/wrap-method.ts';
import { isRequestPart, type RequestData } from './current-request.ts';

/** A function of the call; what it is called with is up to its option. */
export type CallFunction<R> = (...call: never) => R;

/** Keys, tags or patterns as an option gives them: templates, or a function. */
export type NamesOption = string | readonly string[] | CallFunction<string | readonly string[]>;

/** What the keys and tags of one call are made of. */
export interface KeyContext {
  /** `Class.method` of the instance that was called. */
  readonly name: string;
  readonly args: readonly unknown[];
  readonly result?: unknown;
  readonly request?: RequestData | undefined;
}

/** Where the root of a placeholder comes from. */
type Origin =
  | { readonly kind: 'argument'; readonly index: number }
  | { readonly kind: 'result' }
  | { readonly kind: 'request'; readonly part: keyof RequestData };

/** A template of a decorated method: `user:{0.id}`, `user:{id}`, `user:{result.id}`, on a route `user:{params.id}`. */
export class MethodTemplate {
  readonly #template: KeyTemplate;
  readonly #origins: ReadonlyMap<string, Origin>;

  /**
   * @param subject what an error is about: `Users.find: key`
   * @throws InvalidOptionsError for a placeholder that nothing could ever fill
   */
  constructor(
    source: string,
    declaration: Declaration,
    private readonly subject: string,
  ) {
    this.#template = parsed(source, subject);
    const { names } = parameterListOf(declaration.original);
    this.#origins = new Map(
      this.#template.placeholders.map(({ root, path }) => [
        root,
        originOf(root, names) ??
          fail(subject, `{${path}} of '${source}' is no argument of the method; {0} is the first`),
      ]),
    );
  }

  get source(): string {
    return this.#template.source;
  }

  get hasPlaceholders(): boolean {
    return this.#origins.size > 0;
  }

  /** The placeholders that are filled from there. */
  from(...kinds: readonly Origin['kind'][]): string[] {
    const isFrom = ({ root }: Placeholder) => kinds.some((kind) => this.#origins.get(root)?.kind === kind);
    return this.#template.placeholders.filter(isFrom).map(({ path }) => `{${path}}`);
  }

  /** @throws BadRequestException when the client left something out, InvalidOptionsError for anything else missing */
  fill(context: KeyContext): string {
    return this.#template.fill(
      (root) => this.#rootIn(context, root),
      (placeholder, found) => this.#unresolved(placeholder, found, context.request !== undefined),
    );
  }

  #rootIn({ args, result, request }: KeyContext, root: string): unknown {
    const origin = this.#origins.get(root);
    if (origin?.kind === 'argument') return args[origin.index];
    return origin?.kind === 'request' ? request?.[origin.part] : result;
  }

  #unresolved({ root, path }: Placeholder, found: string, isRequest: boolean): never {
    const isInput = this.#origins.get(root)?.kind === 'request' && root !== 'user' && root !== 'ip';
    if (isInput && isRequest) throw new BadRequestException(`${path} is required`);
    return fail(this.subject, `{${path}} of '${this.source}' is ${found}`);
  }
}

function parsed(source: string, subject: string): KeyTemplate {
  try {
    return parseTemplate(source);
  } catch (error) {
    return fail(subject, error instanceof Error ? error.message : String(error));
  }
}

function originOf(root: string, names: ParameterList['names']): Origin | undefined {
  if (names.includes(root)) return { kind: 'argument', index: names.indexOf(root) };
  if (/^\d+$/.test(root)) return { kind: 'argument', index: Number(root) };
  if (root === 'result') return { kind: 'result' };
  return isRequestPart(root) ? { kind: 'request', part: root } : undefined;
}

/** How the key of each call of one method is made. */
export interface KeySource {
  /** Undefined for the default key and for a function. */
  readonly template: MethodTemplate | undefined;
  readonly isFunction: boolean;
  readonly needsResult: boolean;
  readonly of: KeyReader;
}
type KeyReader = (context: KeyContext) => string;

/** @throws InvalidOptionsError for a template that nothing could ever fill */
export function keySourceOf(key: string | CallFunction<string> | undefined, declaration: Declaration): KeySource {
  const subject = `${declaration.name}: key`;
  const base = { template: undefined, isFunction: typeof key === 'function', needsResult: false };
  if (key === undefined) return { ...base, of: defaultKeyOf(declaration) };
  if (typeof key === 'function') return { ...base, of: keyByFunction(key, subject) };
  const template = new MethodTemplate(key, declaration, subject);
  return {
    ...base,
    template,
    needsResult: template.from('result').length > 0,
    of: (context) => template.fill(context),
  };
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
  isOpen ? args : args.slice(0, names.length);

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
  json.replace(/[%{}]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

function fail(subject: string, fault: string): never {
  throw new InvalidOptionsError(subject, [fault]);
}
