import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../common/errors.ts';
import { isRoute } from '../common/route-metadata.ts';
import { type WrappedMethod, wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { type CacheableOperation, cacheableOperationOf } from './cacheable.decorator.ts';
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
  const owners = new Map<string, { operation: CacheableOperation; owner: WrappedMethod }>();
  return methods.flatMap((owner) => {
    const operation = cacheableOperationOf(owner.method);
    if (operation === undefined || operation.key.isFunction) return [];
    const { template } = operation.key;
    const entry = template === undefined ? `the default key of ${owner.name}` : `key '${template.source}'`;
    const other = owners.get(entry);
    if (other === undefined) owners.set(entry, { operation, owner });
    // Subclasses inherit an explicit key together with the method: that is one declaration.
    const isShared = other === undefined || (template !== undefined && other.operation === operation);
    return isShared ? [] : [`${owner.name}: ${entry} is also that of another method (${other.owner.name})`];
  });
}

const unfillable = (methods: readonly WrappedMethod[]): string[] =>
  methods
    .filter(({ method }) => !isRoute(method))
    .flatMap(({ name, method }) =>
      requestPlaceholdersOf(method).map((text) => `${name}: ${text} is known on routes only`),
    );

const sharesRequests = ({ method, isRequestScoped }: WrappedMethod): boolean => {
  const key = cacheableOperationOf(method)?.key;
  return isRequestScoped && key !== undefined && !isRoute(method) && key.template === undefined && !key.isFunction;
};
