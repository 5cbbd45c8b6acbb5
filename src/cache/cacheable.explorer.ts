import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../common/errors.ts';
import { isRoute } from '../common/route-metadata.ts';
import { type WrappedMethod, wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { cacheableOperationOf } from './cacheable.decorator.ts';
import { requestPlaceholdersOf } from './request-placeholders.ts';

/** Checks at start-up what a decorator cannot know when its class is defined: which other classes there are. */
@Injectable()
export class CacheableExplorer implements OnModuleInit {
  private readonly logger = new Logger(CacheableExplorer.name);

  constructor(private readonly modules: ModulesContainer) {}

  /** @throws InvalidOptionsError naming every method that is decorated wrongly */
  onModuleInit(): void {
    const methods = wrappedMethodsOf(this.modules);
    const faults = [...duplicates(methods), ...unfillable(methods)];
    if (faults.length > 0) throw new InvalidOptionsError('Wrong cache decorators', faults);
    for (const { name } of methods.filter(sharesRequests)) {
      this.logger.warn(`${name} is request-scoped: its default key holds the arguments only, give it a key`);
    }
  }
}

/** Two methods that name their entries alike would answer with each other's values. */
function duplicates(methods: readonly WrappedMethod[]): string[] {
  const owners = new Map<string, WrappedMethod>();
  return methods.flatMap((method) => {
    const entry = entryOf(method);
    const owner = entry === undefined ? undefined : owners.get(entry);
    if (entry === undefined || owner === undefined) {
      if (entry !== undefined) owners.set(entry, method);
      return [];
    }
    return isInherited(method, owner) ? [] : [`${method.name}: ${entry} is also that of ${owner.name}`];
  });
}

/** What names the entries of a method, as far as it is known before a call. The default key of a route has its path. */
function entryOf({ method, name }: WrappedMethod): string | undefined {
  const key = cacheableOperationOf(method)?.key;
  if (key?.kind === 'template') return `key '${key.template.source}'`;
  return key?.kind === 'arguments' && !isRoute(method) ? `the default key of ${name}` : undefined;
}

/** Subclasses that inherit a method share its key: that is one declaration. */
const isInherited = (one: WrappedMethod, other: WrappedMethod): boolean => one.method === other.method;

const unfillable = (methods: readonly WrappedMethod[]): string[] =>
  methods
    .filter(({ method }) => !isRoute(method))
    .flatMap(({ name, method }) =>
      requestPlaceholdersOf(method).map((text) => `${name}: ${text} is known on routes only`),
    );

const sharesRequests = ({ method, isRequestScoped }: WrappedMethod): boolean =>
  isRequestScoped && !isRoute(method) && cacheableOperationOf(method)?.key.kind === 'arguments';
