import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { cacheableOperationOf } from '../cache/cacheable.decorator.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { isRoute } from '../common/route-metadata.ts';
import { wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { ownsResponse, routeFaults } from './route-rules.ts';

/** Checks `@Cacheable` on routes at start-up, when all decorators of a route have spoken. */
@Injectable()
export class RouteCacheExplorer implements OnModuleInit {
  private readonly logger = new Logger(RouteCacheExplorer.name);

  constructor(private readonly modules: ModulesContainer) {}

  /** @throws InvalidOptionsError naming every route that cannot be cached as it is decorated */
  onModuleInit(): void {
    const routes = wrappedMethodsOf(this.modules).filter(({ method }) => isRoute(method));
    const faults: string[] = [];
    for (const { name, method, property, prototype } of routes) {
      const operation = cacheableOperationOf(method);
      if (operation === undefined) continue;
      faults.push(...routeFaults(method, operation).map((fault) => `${name}: ${fault}`));
      if (ownsResponse(prototype.constructor, property)) {
        this.logger.warn(`${name} is not cached: what it does to @Res() cannot be repeated`);
      }
    }
    if (faults.length > 0) throw new InvalidOptionsError('Wrong @Cacheable on routes', faults);
  }
}
