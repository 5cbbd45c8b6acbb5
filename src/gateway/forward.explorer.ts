import { Injectable, type OnModuleInit } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../common/errors.ts';
import { forwardTargetOf } from './forward.metadata.ts';
import { GatewayService } from './gateway.service.ts';
import { segmentsBefore } from './target-path.ts';

type Method = (...args: unknown[]) => unknown;

/** Checks `@Forward` at start-up. */
@Injectable()
export class ForwardExplorer implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly gateway: GatewayService,
  ) {}

  /** The methods of controllers that are decorated, with their names for people. */
  forwarded(): readonly (readonly [name: string, method: Method])[] {
    const scanner = new MetadataScanner();
    const prototypes = [...this.modules.values()]
      .flatMap(({ controllers }) => [...controllers.values()])
      .map(({ metatype }) => (metatype as { prototype?: object } | null)?.prototype)
      .filter((prototype) => prototype !== undefined);
    return [...new Set(prototypes)].flatMap((prototype) =>
      scanner
        .getAllMethodNames(prototype)
        .map((name) => [`${prototype.constructor.name}.${name}`, Reflect.get(prototype, name) as Method] as const)
        .filter(([, method]) => forwardTargetOf(method) !== undefined),
    );
  }

  /** @throws InvalidOptionsError naming every route that cannot be forwarded as it is decorated */
  onModuleInit(): void {
    const faults = this.forwarded().flatMap(([name, method]) =>
      this.faultsOf(method).map((fault) => `${name}: ${fault}`),
    );
    if (faults.length > 0) throw new InvalidOptionsError('Wrong @Forward', faults);
  }

  private faultsOf(method: Method): string[] {
    const target = forwardTargetOf(method);
    if (target === undefined) return [];
    const { upstream, options } = target;
    const faults: string[] = [];
    if (!Reflect.hasMetadata(METHOD_METADATA, method)) faults.push('only routes can be forwarded');
    if (typeof upstream === 'string' && !this.gateway.has(upstream)) {
      faults.push(`there is no upstream ${JSON.stringify(upstream)} in the options of GatewayModule`);
    }
    const paths = [Reflect.getMetadata(PATH_METADATA, method) as string | string[] | undefined].flat();
    if (options.path === undefined && paths.some((path) => segmentsBefore(path ?? '') === undefined)) {
      faults.push("the route needs a wildcard such as '*path', or the decorator a path");
    }
    return faults;
  }
}
