import { Injectable, type OnModuleInit, RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, SSE_METADATA } from '@nestjs/common/constants.js';
import { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../common/errors.ts';
import { isRoute } from '../common/route-metadata.ts';
import { type WrappedMethod, wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { idempotentOperationOf } from './idempotent.options.ts';

const UNSAFE: readonly unknown[] = [
  RequestMethod.POST,
  RequestMethod.PUT,
  RequestMethod.PATCH,
  RequestMethod.DELETE,
  RequestMethod.ALL,
];

/** Checks `@Idempotent` at start-up, when all decorators of a method have spoken. */
@Injectable()
export class IdempotencyExplorer implements OnModuleInit {
  constructor(private readonly modules: ModulesContainer) {}

  /** @throws InvalidOptionsError naming every method that is no route to be protected */
  onModuleInit(): void {
    const faults = wrappedMethodsOf(this.modules).flatMap(faultOf);
    if (faults.length > 0) throw new InvalidOptionsError('Wrong @Idempotent', faults);
  }

  /** Whether any route of the application is idempotent. */
  exist(): boolean {
    return wrappedMethodsOf(this.modules).some(({ method }) => idempotentOperationOf(method) !== undefined);
  }
}

function faultOf({ name, method }: WrappedMethod): string[] {
  if (idempotentOperationOf(method) === undefined) return [];
  if (!isRoute(method)) return [`${name}: only routes of HTTP have an Idempotency-Key`];
  if (Reflect.hasMetadata(SSE_METADATA, method)) return [`${name}: an event stream cannot be replayed`];
  if (UNSAFE.includes(Reflect.getMetadata(METHOD_METADATA, method))) return [];
  return [`${name}: only POST, PUT, PATCH and DELETE change anything; on GET use @Cacheable`];
}
