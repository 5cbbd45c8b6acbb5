import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError, isInvalidOptionsError } from '../common/errors.ts';
import { type WrappedMethod, wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { CircuitBreakerService } from './circuit-breaker.service.ts';
import {
  type CircuitOperation,
  circuitOperationsOf,
  hasMethod,
  noSuchMethod,
} from './with-circuit-breaker.decorator.ts';

/** One `@WithCircuitBreaker` on one method. */
interface Use extends WrappedMethod {
  readonly operation: CircuitOperation;
}

/**
 * Makes the circuits of all decorated methods at start-up, so that they are seen before their first call, and checks
 * what a decorator cannot know when its class is defined: the other methods of the class, and the other circuits.
 */
@Injectable()
export class CircuitBreakerExplorer implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly circuits: CircuitBreakerService,
  ) {}

  /** @throws InvalidOptionsError naming every method that is decorated wrongly */
  onModuleInit(): void {
    const faults = usesIn(this.modules).flatMap((use) => [...this.make(use), ...missingFallback(use)]);
    if (faults.length > 0) throw new InvalidOptionsError('Wrong @WithCircuitBreaker', faults);
  }

  private make({ name, operation }: Use): string[] {
    try {
      operation.circuitOf(this.circuits);
      return [];
    } catch (error) {
      if (!isInvalidOptionsError(error)) throw error;
      return error.faults.map((fault) => `${name}: ${fault}`);
    }
  }
}

/** Those that configure their circuit come first: who just names one takes it as it is. */
function usesIn(modules: ModulesContainer): Use[] {
  const uses = wrappedMethodsOf(modules).flatMap((method) =>
    circuitOperationsOf(method.method).map((operation) => ({ ...method, operation })),
  );
  const isBare = ({ operation }: Use) => Object.keys(operation.config).length === 1;
  return [...uses.filter((use) => !isBare(use)), ...uses.filter(isBare)];
}

const missingFallback = ({ name, prototype, operation: { fallback } }: Use): string[] =>
  fallback === undefined || hasMethod(prototype, fallback) ? [] : [`${name}: ${noSuchMethod(fallback)}`];
