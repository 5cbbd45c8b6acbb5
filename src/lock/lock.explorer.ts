import { Injectable, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../common/errors.ts';
import { type WrappedMethod, wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { isHandler } from '../common/handler-metadata.ts';
import { lockOperationOf } from './lock-operation.ts';

/** Checks `@WithLock` at start-up, when all decorators of a method have spoken. */
@Injectable()
export class LockExplorer implements OnModuleInit {
  constructor(private readonly modules: ModulesContainer) {}

  /** @throws InvalidOptionsError naming every method whose lock nothing could name */
  onModuleInit(): void {
    const faults = wrappedMethodsOf(this.modules).flatMap(unfillable);
    if (faults.length > 0) throw new InvalidOptionsError('Wrong @WithLock', faults);
  }
}

function unfillable({ name, method }: WrappedMethod): string[] {
  const placeholders = isHandler(method) ? [] : (lockOperationOf(method)?.key.ofRequest ?? []);
  return placeholders.map((placeholder) => `${name}: key: ${placeholder} is known on handlers only`);
}
