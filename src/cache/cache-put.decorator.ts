import { checkOptions } from '../common/decorator-options.ts';
import { isSerializationError } from '../common/errors.ts';
import {
  type AsyncMethod,
  type AsyncMethodDecorator,
  type Declaration,
  declarationOf,
  type Invocation,
  wrapMethod,
} from '../common/wrap-method.ts';
import { callFunction, keyOption, namesOption } from './cache-decorator.options.ts';
import { type CallFunction, type KeySource, keySourceOf } from './cache-key.ts';
import { CacheService } from './cache.service.ts';
import { type CacheableOptions, templatesOf } from './cacheable.decorator.ts';
import { type CallNames, callNamesOf } from './call-names.ts';
import { currentRequest } from './current-request.ts';
import { SET_RULES, type SetOptions } from './get-or-set.options.ts';
import type { KeyContext } from './method-template.ts';
import { needsRequest } from './request-placeholders.ts';

/** Under which key the result of a method is stored, and for how long. */
export type CachePutOptions<M extends AsyncMethod = AsyncMethod> = Omit<SetOptions, 'tags'> &
  Pick<CacheableOptions<M>, 'tags' | 'when' | 'unless'> & {
    /** The key under which `@Cacheable` looks: a template, also with `{result.id}`, or a function of the arguments. */
    readonly key: NonNullable<CacheableOptions<M>['key']>;
  };

const RULES = { ...SET_RULES, key: keyOption, tags: namesOption, when: callFunction, unless: callFunction };

interface PutOperation {
  readonly key: KeySource;
  readonly tags: CallNames | undefined;
  readonly when: CallFunction<unknown> | undefined;
  readonly unless: CallFunction<unknown> | undefined;
  readonly write: SetOptions;
}

/**
 * Runs the method always and stores what it returns. A result that cannot be stored (`undefined`, a function inside)
 * removes the entry: what was there is out of date.
 *
 * @throws InvalidOptionsError when the class is defined, naming the method and everything that is wrong
 * @publicApi
 */
export function CachePut<M extends AsyncMethod>(options: CachePutOptions<M>): AsyncMethodDecorator<M> {
  return (prototype, property, descriptor) => {
    const declaration = declarationOf(prototype, property, descriptor);
    const operation = operationOf(options, declaration);
    const method = wrapMethod<CacheService>(prototype, property, descriptor, {
      token: CacheService,
      around: (invocation) => runAndPut(operation, invocation),
    });
    needsRequest(method, templatesOf(operation));
  };
}

function operationOf(options: CachePutOptions<never>, declaration: Declaration): PutOperation {
  checkOptions(options, RULES, 'CachePut', declaration, ['key']);
  const { key, tags, when, unless, ...write } = options;
  return {
    key: keySourceOf(key, declaration),
    tags: tags && callNamesOf(tags, declaration, `${declaration.name}: tags`, 'result and arguments'),
    when,
    unless,
    write,
  };
}

async function runAndPut(
  { key, tags, when, unless, write }: PutOperation,
  { service, name, args, proceed }: Invocation<CacheService>,
): Promise<unknown> {
  if (when !== undefined && !when(...(args as never))) return proceed();
  const context: KeyContext = { name, args, request: currentRequest.getStore() };
  // A key that cannot be made fails the call before the method has changed anything.
  const early = key.kind === 'template' && key.template.needsResult ? undefined : key.of(context);
  const result = await proceed();
  if (unless?.(...([result, ...args] as never))) return result;
  const full = { ...context, result };
  await put(service, early ?? key.of(full), result, tags === undefined ? write : { ...write, tags: tags.of(full) });
  return result;
}

/** What cannot be stored (`undefined`, a function inside) leaves nothing: the old value is out of date. */
async function put(service: CacheService, key: string, result: unknown, options: SetOptions): Promise<void> {
  try {
    await service.set(key, result, options);
  } catch (error) {
    if (!isSerializationError(error)) throw error;
    await service.del(key);
  }
}
