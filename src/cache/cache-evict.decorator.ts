import { checkOptions } from '../common/decorator-options.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { oneOf } from '../common/option-rules.ts';
import {
  type AsyncMethod,
  type AsyncMethodDecorator,
  type Declaration,
  declarationOf,
  type Invocation,
  wrapMethod,
} from '../common/wrap-method.ts';
import { keyOption, namesOption, text } from './cache-decorator.options.ts';
import type { NamesOption } from './cache-key.ts';
import { CacheService } from './cache.service.ts';
import type { ResultOf } from './cacheable.decorator.ts';
import { type CallNames, callNamesOf } from './call-names.ts';
import { currentRequest } from './current-request.ts';
import type { KeyContext } from './method-template.ts';
import { needsRequest } from './request-placeholders.ts';

/** What a call of the method removes: templates as in `@Cacheable`, also with `{result.id}`, or functions. */
interface EvictTargets<F> {
  readonly keys?: string | readonly string[] | F;
  /** `*`, `?` and `[…]`; placeholders are escaped. It scans the key space: tags are cheaper. */
  readonly pattern?: string | F;
  readonly tags?: string | readonly string[] | F;
  /** Keys, pattern and tags of this namespace; alone, everything in it. */
  readonly namespace?: string;
}

/** Evicts when the method has succeeded; functions get the result and the arguments. */
export interface EvictAfter<M extends AsyncMethod = AsyncMethod> extends EvictTargets<
  (result: ResultOf<M>, ...args: Parameters<M>) => string | readonly string[]
> {
  /** @default 'after' */
  readonly when?: 'after';
}

/** Evicts before the method runs, and so also when it fails; functions get the arguments. */
export interface EvictBefore<M extends AsyncMethod = AsyncMethod> extends EvictTargets<
  (...args: Parameters<M>) => string | readonly string[]
> {
  readonly when: 'before';
}

export type CacheEvictOptions<M extends AsyncMethod = AsyncMethod> = EvictAfter<M> | EvictBefore<M>;

const RULES = {
  keys: namesOption,
  pattern: keyOption,
  tags: namesOption,
  namespace: text,
  when: oneOf('after', 'before'),
};
const TARGETS = ['keys', 'pattern', 'tags'] as const;
type Target = (typeof TARGETS)[number];

/** What evicts the names of one target. */
const EVICT: Readonly<Record<Target, (cache: CacheService, names: readonly string[]) => Promise<unknown>>> = {
  keys: (cache, names) => cache.del(...names),
  pattern: (cache, names) => Promise.all(names.map((name) => cache.delPattern(name))),
  tags: (cache, names) => cache.delByTag(...names),
};

interface EvictOperation {
  readonly isBefore: boolean;
  readonly namespace: string | undefined;
  readonly targets: readonly { readonly target: Target; readonly names: CallNames }[];
}

/**
 * Removes entries when the method has succeeded, or with `when: 'before'` before it runs.
 *
 * Resolves after the eviction: a read that begins then does not get the old value. While the server is away, eviction
 * takes effect in this process at once and on the server when it is back. What else goes wrong (a placeholder without
 * value, a function that throws) fails the call: better a loud error than entries that stay out of date. Where it can
 * be known, that is before the method runs.
 *
 * @throws InvalidOptionsError when the class is defined, naming the method and everything that is wrong
 * @publicApi
 */
export function CacheEvict<M extends AsyncMethod>(options: CacheEvictOptions<M>): AsyncMethodDecorator<M> {
  return (prototype, property, descriptor) => {
    const declaration = declarationOf(prototype, property, descriptor);
    const operation = operationOf(options, declaration);
    const method = wrapMethod<CacheService>(prototype, property, descriptor, {
      token: CacheService,
      around: (invocation) => (operation.isBefore ? evictAndRun : runAndEvict)(operation, invocation),
    });
    needsRequest(
      method,
      operation.targets.flatMap(({ names }) => names.templates),
    );
  };
}

function operationOf(options: CacheEvictOptions<never>, declaration: Declaration): EvictOperation {
  checkOptions(options, RULES, 'CacheEvict', declaration, [...TARGETS, 'namespace']);
  const isBefore = options.when === 'before';
  const targets = TARGETS.flatMap((target) => {
    const given: NamesOption | undefined = options[target];
    if (given === undefined) return [];
    const subject = `${declaration.name}: ${target}`;
    const names = callNamesOf(given, declaration, subject, isBefore ? 'arguments' : 'result and arguments');
    if (!isBefore || !names.needResult) return [{ target, names }];
    throw new InvalidOptionsError(subject, ["there is no {result} with when: 'before'"]);
  });
  return { isBefore, namespace: options.namespace, targets };
}

async function evictAndRun(operation: EvictOperation, invocation: Invocation<CacheService>): Promise<unknown> {
  await evict(operation, invocation.service, namesIn(operation, contextOf(invocation), false));
  return invocation.proceed();
}

async function runAndEvict(operation: EvictOperation, invocation: Invocation<CacheService>): Promise<unknown> {
  const context = contextOf(invocation);
  const early = namesIn(operation, context, false);
  const result = await invocation.proceed();
  const late = namesIn(operation, { ...context, result }, true);
  await evict(operation, invocation.service, [...early, ...late]);
  return result;
}

const contextOf = ({ name, args }: Invocation<CacheService>): KeyContext => ({
  name,
  args,
  request: currentRequest.getStore(),
});

type Names = readonly (readonly [Target, readonly string[]])[];

/** The names that need the result, or those that do not. */
const namesIn = ({ targets }: EvictOperation, context: KeyContext, needResult: boolean): Names =>
  targets
    .filter(({ names }) => names.needResult === needResult)
    .map(({ target, names }) => [target, names.of(context)] as const);

async function evict({ targets, namespace }: EvictOperation, service: CacheService, names: Names): Promise<void> {
  const cache = namespace === undefined ? service : service.namespace(namespace);
  if (targets.length === 0) return cache.reset();
  const given = names.filter(([, found]) => found.length > 0);
  await Promise.all(given.map(([target, found]) => EVICT[target](cache, found)));
}
