import { BadRequestException } from '@nestjs/common';
import { InvalidOptionsError } from '../common/errors.ts';
import { type KeyTemplate, parseTemplate, type Placeholder } from '../common/key-template.ts';
import { type ParameterList, parameterListOf } from '../common/parameter-list.ts';
import type { Declaration } from '../common/wrap-method.ts';
import { isClientInput, isRequestPart, type RequestData } from './current-request.ts';

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
  /** One per placeholder. */
  readonly #origins: readonly Origin[];

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
    this.#origins = this.#template.placeholders.map(
      ({ root, path }) =>
        originOf(root, names) ??
        fail(subject, `{${path}} of '${source}' is no argument of the method; {0} is the first`),
    );
  }

  get source(): string {
    return this.#template.source;
  }

  get hasPlaceholders(): boolean {
    return this.#origins.length > 0;
  }

  /** Whether it can only be filled when the method has run. */
  get needsResult(): boolean {
    return this.from('result').length > 0;
  }

  /** The placeholders that are filled from there. */
  from(...kinds: readonly Origin['kind'][]): string[] {
    const isFrom = (_: Placeholder, index: number) => kinds.some((kind) => this.#origins[index]?.kind === kind);
    return this.#template.placeholders.filter(isFrom).map(({ path }) => `{${path}}`);
  }

  /** @throws BadRequestException when the client left something out, InvalidOptionsError for anything else missing */
  fill(context: KeyContext): string {
    return this.#template.fill(
      (root, index) => this.#rootIn(context, root, index),
      (placeholder, found) => this.#unresolved(context, placeholder, found),
    );
  }

  #rootIn(context: KeyContext, root: string, index: number): unknown {
    const origin = this.#originIn(context, root, index);
    switch (origin?.kind) {
      case 'argument':
        return context.args[origin.index];
      case 'request':
        return context.request?.[origin.part];
      default:
        return context.result;
    }
  }

  /** Before its handler runs, a route has no arguments: a name that may also mean a part of the request then does. */
  #originIn({ args, request }: KeyContext, root: string, index: number): Origin | undefined {
    const origin = this.#origins[index];
    const isEarly = request !== undefined && args.length === 0;
    return isEarly && origin?.kind === 'argument' && isRequestPart(root) ? { kind: 'request', part: root } : origin;
  }

  #unresolved(context: KeyContext, placeholder: Placeholder, found: string): never {
    const { root, path } = placeholder;
    const index = this.#template.placeholders.indexOf(placeholder);
    const isOfRequest = context.request !== undefined && this.#originIn(context, root, index)?.kind === 'request';
    if (isOfRequest && isClientInput(root)) throw new BadRequestException(`${path} is required`);
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

function fail(subject: string, fault: string): never {
  throw new InvalidOptionsError(subject, [fault]);
}
