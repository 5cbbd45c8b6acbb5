import { Injectable, type OnApplicationBootstrap, type OnModuleInit } from '@nestjs/common';
import { GUARDS_METADATA } from '@nestjs/common/constants.js';
import { HttpAdapterHost, MetadataScanner, ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError, isInvalidOptionsError } from '../common/errors.ts';
import { groupBy } from '../common/group-by.ts';
import { isHandler } from '../common/handler-metadata.ts';
import { wrappersOf } from '../common/wrapped-methods.ts';
import { HandlerRateLimitGuard, RateLimitGuard } from './rate-limit.guard.ts';
import { isSkipped, rulesFor, rulesOn } from './rate-limit.rules.ts';
import { type RateLimitLogger, RateLimitService } from './rate-limit.service.ts';
import { FASTIFY_HOPS, isFastify, TRUST_ALL, trustOf } from './trust-proxy.ts';

interface LimitedMethod {
  /** `Class.method`. */
  readonly name: string;
  readonly host: object;
  readonly method: object;
}

/** Checks `@RateLimit` at start-up, when all decorators have spoken, and puts its guard behind the others. */
@Injectable()
export class RateLimitExplorer implements OnModuleInit, OnApplicationBootstrap {
  private readonly methods: readonly LimitedMethod[];

  /** It is built before any handler is registered: Nest has not looked at their guards yet. */
  constructor(
    modules: ModulesContainer,
    private readonly adapters: HttpAdapterHost,
    private readonly limits: RateLimitService,
    private readonly logger: RateLimitLogger,
  ) {
    this.methods = methodsOf(modules);
    for (const { host, method } of this.methods) {
      moveGuardBack(host);
      moveGuardBack(method);
    }
  }

  /** @throws InvalidOptionsError naming every method that is limited wrongly */
  onModuleInit(): void {
    const faults = [...this.methods.flatMap((limited) => this.#faultsOf(limited)), ...this.#faultsOfClasses()];
    if (faults.length > 0) throw new InvalidOptionsError('Wrong @RateLimit', [...new Set(faults)]);
  }

  /** @throws InvalidOptionsError where addresses are counted that clients make up themselves */
  onApplicationBootstrap(): void {
    const adapter = this.adapters.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
    const platform: unknown = adapter?.getInstance();
    const isLimited = this.methods.some(({ method, host }) => (rulesFor(method, host) ?? []).length > 0);
    if (!isLimited || (typeof platform !== 'object' && typeof platform !== 'function') || platform === null) return;
    const trust = trustOf(platform);
    if (trust === 'all') throw new InvalidOptionsError('Rate limits by address', [TRUST_ALL]);
    if (trust === 'hops' && isFastify(platform)) this.logger.warn(FASTIFY_HOPS);
  }

  /** On a class there is only a guard, which methods that are no handlers never meet. */
  #faultsOfClasses(): string[] {
    const limited = groupBy(
      this.methods.filter(({ host }) => rulesOn(host).length > 0),
      ({ host }) => host,
    );
    return [...limited].flatMap(([host, methods]) =>
      methods.some(({ method }) => isHandler(method))
        ? []
        : [`${(host as { name?: string }).name ?? 'A class'}: has no handlers; put @RateLimit on its methods`],
    );
  }

  #faultsOf({ name, host, method }: LimitedMethod): string[] {
    const rules = rulesOn(method);
    if (rules.length > 0 && isSkipped(method)) return [`${name}: has both @RateLimit and @SkipRateLimit`];
    const faults = isHandler(method) || rules.length === 0 ? [] : providerFaults(rules, name);
    try {
      const applied = isHandler(method) ? rulesFor(method, host) : rules;
      if (applied !== undefined) this.limits.policies.setFor(applied, name);
    } catch (error) {
      if (!isInvalidOptionsError(error)) throw error;
      faults.push(...error.faults.map((fault) => `${name}: ${fault}`));
    }
    return faults;
  }
}

/** Every method that is limited, or whose class is, or that is a handler. */
function methodsOf(modules: ModulesContainer): LimitedMethod[] {
  const scanner = new MetadataScanner();
  const hosts = new Set(
    wrappersOf(modules).map(({ metatype, isNotMetatype }) => (isNotMetatype ? undefined : metatype)),
  );
  return [...hosts].flatMap((host) => {
    const prototype = (host as { readonly prototype?: object } | null | undefined)?.prototype;
    if (typeof host !== 'function' || prototype === undefined) return [];
    return scanner
      .getAllMethodNames(prototype)
      .map((property) => ({
        name: `${host.name}.${property}`,
        host,
        method: Reflect.get(prototype, property) as object,
      }))
      .filter(({ method }) => rulesOn(method).length > 0 || isSkipped(method) || rulesOn(host).length > 0);
  });
}

function providerFaults(rules: ReturnType<typeof rulesOn>, name: string): string[] {
  const wrong = rules.flatMap(({ policies = [] }) => policies).filter(({ by }) => typeof by === 'string');
  return wrong.map(() => `${name}: by: a method that is no handler has no request; give a function of its arguments`);
}

function moveGuardBack(target: object): void {
  const guards = Reflect.getOwnMetadata(GUARDS_METADATA, target) as readonly unknown[] | undefined;
  // Whoever has placed a guard of ours by hand wants it there.
  if (guards === undefined || !guards.includes(HandlerRateLimitGuard) || guards.includes(RateLimitGuard)) return;
  const others = guards.filter((guard) => guard !== HandlerRateLimitGuard);
  Reflect.defineMetadata(GUARDS_METADATA, [...others, HandlerRateLimitGuard], target);
}
