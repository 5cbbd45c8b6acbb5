import type { ExecutionContext } from '@nestjs/common';
import type { ForwardOptions } from './gateway.service.ts';

export const FORWARD = Symbol.for('nestjs-keep:forward');

/** What `@Forward` says. */
export interface ForwardTarget {
  readonly upstream: string | ((context: ExecutionContext) => string);
  readonly options: ForwardOptions;
}

/** @param handler the method of a controller, or what Nest has made of it for the platform: it has the same metadata */
export const forwardTargetOf = (handler: unknown): ForwardTarget | undefined =>
  typeof handler === 'function' ? (Reflect.getMetadata(FORWARD, handler) as ForwardTarget | undefined) : undefined;
