import { BadRequestException } from '@nestjs/common';
import { InvalidOptionsError } from '../common/errors.ts';
import { type KeyTemplate, parseTemplate, type Placeholder } from '../common/key-template.ts';
import { parameterListOf } from '../common/parameter-list.ts';
import type { Declaration } from '../common/wrap-method.ts';

/** What a template may read of a request, whatever it came over. */
export interface LockedRequest {
  readonly user?: unknown;
  readonly userId?: string | undefined;
  readonly ip?: string | undefined;
  /** The payload of a message, the arguments of a GraphQL operation. */
  readonly body?: unknown;
  readonly params?: unknown;
  readonly query?: unknown;
}

const REQUEST_PARTS: ReadonlySet<string> = new Set(['user', 'userId', 'ip', 'body', 'params', 'query']);
/** What the client may have left out; the rest is up to the application. */
const CLIENT_INPUT: ReadonlySet<string> = new Set(['body', 'params', 'query']);

/** What names the lock of each call of a decorated method. */
export class LockKey {
  readonly #template: KeyTemplate;
  /** Without placeholders: the lock of each caller, once one has asked. */
  #perCaller: KeyTemplate | undefined;
  readonly #names: readonly (string | undefined)[];
  readonly #subject: string;
  /** What clients and figures may know it by: the template up to its first placeholder. */
  readonly publicName: string;

  /** @throws InvalidOptionsError for a placeholder that nothing could ever fill */
  constructor(source: string, { original, name: method }: Declaration) {
    this.#subject = `${method}: key`;
    this.#template = this.#parsed(source);
    const [name = ''] = this.#template.source.split('{');
    this.publicName = name.replace(/\W+$/, '') || 'lock';
    this.#names = parameterListOf(original).names;
    for (const placeholder of this.#template.placeholders) {
      if (this.#isArgument(placeholder) || REQUEST_PARTS.has(placeholder.root)) continue;
      this.#fail(`{${placeholder.path}} of '${source}' is no part of a request and no argument; {0} is the first`);
    }
    const roots = this.#template.placeholders;
    if (this.needsArguments && roots.some((root) => !this.#isArgument(root))) {
      this.#fail(`'${source}' mixes arguments and parts of the request`);
    }
  }

  get hasPlaceholders(): boolean {
    return this.#template.placeholders.length > 0;
  }

  /** Whether it is only known when the method is called, with its arguments. */
  get needsArguments(): boolean {
    return this.#template.placeholders.some((root) => this.#isArgument(root) && !REQUEST_PARTS.has(root.root));
  }

  /** The placeholders that only a request can fill. */
  get ofRequest(): readonly string[] {
    return this.#template.placeholders.filter((root) => !this.#isArgument(root)).map(({ path }) => `{${path}}`);
  }

  /** @throws BadRequestException when the client left something out, InvalidOptionsError for anything else */
  forRequest(request: LockedRequest): string {
    if (!this.hasPlaceholders) return this.#byDefault(request);
    return this.#template.fill(
      (root) => Reflect.get(request, root) as unknown,
      (placeholder, found) => this.#unresolved(placeholder, found, true),
    );
  }

  /** @throws InvalidOptionsError for what is not there */
  forCall(args: readonly unknown[]): string {
    if (!this.hasPlaceholders) return this.#template.source;
    return this.#template.fill(
      (root) => args[/^\d+$/.test(root) ? Number(root) : this.#names.indexOf(root)],
      (placeholder, found) => this.#unresolved(placeholder, found, false),
    );
  }

  /** One lock per caller: two users never wait for each other. */
  #byDefault({ userId, ip }: LockedRequest): string {
    const caller = userId ?? ip;
    if (caller === undefined) this.#fail(`neither a user nor an address to name '${this.#template.source}' by`);
    this.#perCaller ??= parseTemplate(`${this.#template.source}:{caller}`);
    return this.#perCaller.fill(
      () => caller,
      (placeholder, found) => this.#unresolved(placeholder, found, false),
    );
  }

  #isArgument({ root }: Placeholder): boolean {
    return /^\d+$/.test(root) || this.#names.includes(root);
  }

  #unresolved({ root, path }: Placeholder, found: string, isOfRequest: boolean): never {
    if (isOfRequest && CLIENT_INPUT.has(root)) throw new BadRequestException(`${path} is required`);
    return this.#fail(`{${path}} of '${this.#template.source}' is ${found}`);
  }

  #parsed(source: string): KeyTemplate {
    try {
      return parseTemplate(source);
    } catch (error) {
      return this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  #fail(fault: string): never {
    throw new InvalidOptionsError(this.#subject, [fault]);
  }
}
