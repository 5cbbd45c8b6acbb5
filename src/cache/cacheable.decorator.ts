import type { Duration } from '../common/duration.ts';
import { checkOptions } from '../common/decorator-options.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { isRoute } from '../common/route-metadata.ts';
import {
  type AsyncMethod,
  type Declaration,
  declarationOf,
  type Invocation,
  wrapMethod,
} from '../common/wrap-method.ts';
import { callFunction, keyOption, namesOption, optionsOf } from './cache-decorator.options.ts';
import type { FactoryContext } from './cache-factory.ts';
import { type CallFunction, type KeySource, keySourceOf } from './cache-key.ts';
import { CacheService } from './cache.service.ts';
import { type CacheableRouteOptions, ROUTE_ONLY_RULES, type RouteOnlyOptions } from './cacheable-route.options.ts';
import { type CallNames, callNamesOf } from './call-names.ts';
import { GET_OR_SET_RULES, type GetOrSetOptions } from './get-or-set.options.ts';
import type { KeyContext, MethodTemplate } from './method-template.ts';
import { needsRequest } from './request-placeholders.ts';

export type ResultOf<M extends CacheableMethod> = Awaited<ReturnType<M>>;

/** What `@Cacheable` may stand on. Only a route may answer without a promise, which is known at start-up. */
export type CacheableMethod = (...args: never[]) => unknown;

export type CacheableDecorator<M extends CacheableMethod> = (
  prototype: object,
  property: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/** Options that say by one of their names that they are for a route. */
export type CacheableRouteOnlyOptions = CacheableRouteOptions &
  { [K in keyof RouteOnlyOptions]-?: Required<Pick<RouteOnlyOptions, K>> }[keyof RouteOnlyOptions];

/** How the result of a method is cached. Whatever is left out comes from the module's `cache` options. */
export interface CacheableOptions<M extends CacheableMethod = AsyncMethod> extends Omit<GetOrSetOptions, 'tags'> {
  /**
   * A template such as `'user:{0.id}'` or `'user:{id}'` ({argument.property}), or a function of the arguments.
   * @default the class, the method and all its arguments
   */
  readonly key?: string | ((...args: Parameters<M>) => string);
  /** Labels to invalidate the entry by: templates, or a function of the result and the arguments. */
  readonly tags?: readonly string[] | ((result: ResultOf<M>, ...args: Parameters<M>) => readonly string[]);
  /** A call that does not satisfy it just runs the method. */
  readonly when?: (...args: Parameters<M>) => boolean;
  /** A result that satisfies it is returned, not stored. */
  readonly unless?: (result: ResultOf<M>, ...args: Parameters<M>) => boolean;
}

const RULES = {
  ...GET_OR_SET_RULES,
  ...ROUTE_ONLY_RULES,
  key: keyOption,
  tags: namesOption,
  when: callFunction,
  unless: callFunction,
};

/** What `@Cacheable` says about one method, checked once when its class is defined. */
export interface CacheableOperation {
  readonly declaration: Declaration;
  readonly key: KeySource;
  /** Tags that differ from call to call; the others are in `read`. */
  readonly tags: CallNames | undefined;
  readonly when: CallFunction<unknown> | undefined;
  readonly unless: CallFunction<unknown> | undefined;
  readonly read: GetOrSetOptions;
  /** Options that only routes know. */
  readonly route: RouteOnlyOptions;
}

const OPERATION = Symbol.for('nestjs-keep:cacheable');

/** What `@Cacheable` says about a method, or undefined when it says nothing. */
export const cacheableOperationOf = (method: object): CacheableOperation | undefined =>
  Reflect.getMetadata(OPERATION, method) as CacheableOperation | undefined;

/**
 * Caches what the method returns; a bare number is seconds.
 *
 * On a provider it caches values, named by the arguments. On a GET route it caches responses, as they went to the
 * client: named by host, path and query, behind all guards, in front of everything else, and never shared with or from
 * a request that carries credentials unless `scope` says so.
 *
 * Without a running `CacheModule`, and while the server is away, the method runs: a call never fails because the cache
 * does.
 *
 * @throws InvalidOptionsError when the class is defined, naming the method and everything that is wrong
 * @publicApi
 */
export function Cacheable<M extends CacheableMethod>(ttl?: number | Duration): CacheableDecorator<M>;
export function Cacheable<M extends CacheableMethod>(route: CacheableRouteOnlyOptions): CacheableDecorator<M>;
export function Cacheable<M extends CacheableMethod>(options: CacheableOptions<M>): CacheableDecorator<M>;
export function Cacheable<M extends CacheableMethod>(routeOptions: CacheableRouteOptions): CacheableDecorator<M>;
export function Cacheable(options: number | Duration | CacheableOptions<never> | CacheableRouteOptions = {}): unknown {
  return (prototype: object, property: string | symbol, descriptor: PropertyDescriptor) => {
    const declaration = declarationOf(prototype, property, descriptor);
    const operation = operationOf(optionsOf(options), declaration);
    const method = wrapMethod<CacheService>(prototype, property, descriptor, {
      token: CacheService,
      around: (invocation) => readThrough(operation, invocation),
      delegated: isRoute,
    });
    Reflect.defineMetadata(OPERATION, operation, method);
    needsRequest(method, templatesOf(operation));
  };
}

/** The templates that each call fills. */
export const templatesOf = ({ key, tags }: Pick<CacheableOperation, 'key' | 'tags'>): MethodTemplate[] => [
  ...(key.kind === 'template' ? [key.template] : []),
  ...(tags?.templates ?? []),
];

function operationOf(given: object, declaration: Declaration): CacheableOperation {
  checkOptions(given, RULES, 'Cacheable', declaration);
  // Whether it stands on a route is known when all its decorators have spoken: until then it may be either.
  const [route, options] = parted<RouteOnlyOptions, CacheableOptions<never>>(given, ROUTE_ONLY_RULES);
  const { key, tags: labels, when, unless, ...read } = options;
  const source = keySourceOf(key, declaration);
  if (source.kind === 'template' && source.template.needsResult) {
    throw new InvalidOptionsError(`${declaration.name}: key`, ['the entry is looked for before there is a {result}']);
  }
  const tags = labels && callNamesOf(labels, declaration, `${declaration.name}: tags`, 'result and arguments');
  const fixed = tags?.fixed && { tags: tags.fixed };
  return {
    declaration,
    key: source,
    tags: fixed ? undefined : tags,
    when,
    unless,
    read: Object.freeze({ name: declaration.name.slice(0, 120), ...read, ...fixed }),
    route: Object.freeze(route),
  };
}

/** The options that are named in `names`, and the others. */
function parted<Named, Others>(options: object, names: object): [Named, Others] {
  const entries = Object.entries(options);
  const isNamed = ([name]: [string, unknown]): boolean => Object.hasOwn(names, name);
  const those = (isWanted: (entry: [string, unknown]) => boolean) => Object.fromEntries(entries.filter(isWanted));
  return [those(isNamed) as Named, those((entry) => !isNamed(entry)) as Others];
}

function readThrough(
  operation: CacheableOperation,
  { service, name, args, proceed }: Invocation<CacheService>,
): Promise<unknown> {
  const { key, when, unless } = operation;
  if (when !== undefined && !when(...(args as never))) return proceed();
  const context: KeyContext = { name, args };
  return service.getOrSet(key.of(context), readOptionsFor(operation, context), async (entry) => {
    const result = await proceed();
    if (unless?.(...([result, ...args] as never))) entry.skip();
    tagEntry(operation, entry, { ...context, result });
    return result;
  });
}

/** The options of one call. Tags that are known before the factory runs are named before it runs: it may race them. */
function readOptionsFor({ read, tags }: CacheableOperation, context: KeyContext): GetOrSetOptions {
  return tags === undefined || tags.needResult ? read : { ...read, tags: tags.of(context) };
}

/** Adds the tags that only the result tells. */
function tagEntry({ tags }: CacheableOperation, entry: FactoryContext, context: KeyContext): void {
  if (tags?.needResult) entry.setTags(tags.of(context));
}
