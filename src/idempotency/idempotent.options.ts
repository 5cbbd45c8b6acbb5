import type { ExecutionContext } from '@nestjs/common';
import { checkOptions } from '../common/decorator-options.ts';
import type { Duration } from '../common/duration.ts';
import { aFunction, as, duration, flag, oneOf, type RulesOf, size, text } from '../common/option-rules.ts';
import type { Declaration } from '../common/wrap-method.ts';

/** What runs once for one key. */
export interface IdempotentOptions {
  /** Refuse requests without a key (400), instead of running them unprotected. @default false */
  readonly required?: boolean;
  /** How long an answer is replayed. @default '24h' */
  readonly ttl?: Duration;
  /** How long others wait for a process that died while it ran the handler; renewed while it lives. @default '30s' */
  readonly lease?: Duration;
  /** How long an equal request waits for the one that runs before it is refused (409). @default '0s' */
  readonly wait?: Duration;
  /** `'strict'`: the key has to be in quotes, a String of RFC 9651. @default 'lenient' */
  readonly syntax?: 'lenient' | 'strict';
  /**
   * Who asks: nobody gets the answer to somebody else's request. Where it knows nobody, the default does: `request.user`,
   * else the credentials of the request (`Authorization`, `Cookie`), else its address.
   * @default `http.principal` of the module
   */
  readonly principal?: (context: ExecutionContext) => string | number | null | undefined;
  /** What makes two requests the same, in place of body and query: plain data. */
  readonly fingerprint?: (context: ExecutionContext) => unknown;
  /** Replay answers of 500 and more, too, instead of running again. @default false */
  readonly serverErrors?: boolean;
  /** Longer answers are not kept: a number of bytes, or `'1mb'`. @default `http.maxBody` of the module */
  readonly maxBody?: number | string;
  /** Without the server: refuse (503), or protect in this process only. @default 'reject' */
  readonly onOutage?: 'reject' | 'local';
  /** The address of your description of all this, for the `Link` of refusals. */
  readonly docs?: string;
}

type Context<R> = (context: ExecutionContext) => R;
const callback = <R>() => aFunction<Context<R>>();

const RULES = {
  required: flag,
  ttl: as('ttlMs', duration('1ms', '30d')),
  lease: as('leaseMs', duration('100ms', '10m')),
  wait: as('waitMs', duration('0ms', '1m')),
  syntax: oneOf('lenient', 'strict'),
  principal: callback<string | number | null | undefined>(),
  fingerprint: callback<unknown>(),
  serverErrors: flag,
  maxBody: as('maxBodyBytes', size('0b', '64mb')),
  onOutage: oneOf('reject', 'local'),
  docs: text('an address: visible ASCII characters without < and >', /^[\x21-\x3b\x3d\x3f-\x7e]+$/),
} satisfies RulesOf<IdempotentOptions>;

const DEFAULTS = {
  required: false,
  ttlMs: 24 * 60 * 60_000,
  leaseMs: 30_000,
  waitMs: 0,
  syntax: 'lenient',
  serverErrors: false,
  onOutage: 'reject',
  docs: 'https://www.npmjs.com/package/nestjs-keep#idempotency',
} as const;

/** What one `@Idempotent` says about a route, checked once when its class is defined; durations in milliseconds. */
export interface IdempotentOperation {
  readonly declaration: Declaration;
  readonly required: boolean;
  readonly ttlMs: number;
  readonly leaseMs: number;
  readonly waitMs: number;
  readonly syntax: 'lenient' | 'strict';
  readonly serverErrors: boolean;
  readonly onOutage: 'reject' | 'local';
  readonly docs: string;
  readonly principal?: NonNullable<IdempotentOptions['principal']>;
  readonly fingerprint?: NonNullable<IdempotentOptions['fingerprint']>;
  readonly maxBodyBytes?: number;
}

/** @throws InvalidOptionsError naming the method and everything that is wrong */
export const operationOf = (options: IdempotentOptions, declaration: Declaration): IdempotentOperation => ({
  ...DEFAULTS,
  ...checkOptions(options, RULES, 'Idempotent', declaration),
  declaration,
});

const OPERATION = Symbol.for('nestjs-keep:idempotent');

/** What `@Idempotent` says about a method, or undefined when it says nothing. */
export const idempotentOperationOf = (method: object): IdempotentOperation | undefined =>
  Reflect.getMetadata(OPERATION, method) as IdempotentOperation | undefined;

export const setIdempotentOperation = (method: object, operation: IdempotentOperation): void =>
  Reflect.defineMetadata(OPERATION, operation, method);
