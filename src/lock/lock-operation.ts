import { checkOptions } from '../common/decorator-options.ts';
import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { rule, text } from '../common/option-rules.ts';
import type { Declaration } from '../common/wrap-method.ts';
import { LockKey } from './lock-key.ts';
import { LOCK_HOLD_RULES, type LockOptions } from './lock-request.ts';

export interface WithLockOptions extends Omit<LockOptions, 'signal' | 'retryCount' | 'retryDelay'> {
  /**
   * A template: `{user.id} {body.x} {params.x} {query.x} {ip}` on handlers, `{0} {0.id} {argument.id}` on methods. Unlike
   * the positional name it is the whole key: without a placeholder all callers share one lock.
   */
  readonly key: string;
  /** How long to wait for the holder. @default '0s' */
  readonly wait?: Duration;
  /** Status of the answer when somebody else holds the lock. @default 409 */
  readonly conflictStatus?: 409 | 423 | 429 | 503;
}

/** What one `@WithLock` says about a method, checked once when its class is defined. */
export interface LockOperation {
  readonly declaration: Declaration;
  readonly key: LockKey;
  /** Whether a handler has one lock per caller, because its key says no more than a name. */
  readonly isPerCaller: boolean;
  readonly conflictStatus: number;
  readonly options: LockOptions;
}

const STATUSES: readonly unknown[] = [409, 423, 429, 503];
const RULES = {
  ...LOCK_HOLD_RULES,
  key: text('a text that is not blank', /\S/),
  conflictStatus: rule('409, 423, 429 or 503', (value) => (STATUSES.includes(value) ? (value as number) : undefined)),
};

const OPERATION = Symbol.for('nestjs-keep:with-lock');

/** What `@WithLock` says about a method, or undefined when it says nothing. */
export const lockOperationOf = (method: object): LockOperation | undefined =>
  Reflect.getMetadata(OPERATION, method) as LockOperation | undefined;

export const setLockOperation = (method: object, operation: LockOperation): void =>
  Reflect.defineMetadata(OPERATION, operation, method);

/** @throws InvalidOptionsError naming the method and everything that is wrong */
export function operationOf(
  given: string | WithLockOptions,
  ttl: number | Duration | undefined,
  declaration: Declaration,
): LockOperation {
  const isNamed = typeof given === 'string';
  const options = isNamed ? { key: given, ...(ttl !== undefined && { ttl: durationOf(ttl) }) } : given;
  checkOptions(options, RULES, 'WithLock', declaration, ['key']);
  const { key: source, conflictStatus = 409, ...others } = options;
  const key = new LockKey(source, declaration);
  return {
    ...{ declaration, key, conflictStatus },
    isPerCaller: isNamed && !key.hasPlaceholders,
    options: Object.freeze({ wait: '0s', ...others }),
  };
}

/** A bare number is milliseconds. */
const durationOf = (ttl: number | Duration): Duration => (typeof ttl === 'number' ? `${ttl}ms` : ttl);

/** @throws InvalidOptionsError where only a request could tell the key */
export function keyOfCall(
  { key, isPerCaller, declaration }: LockOperation,
  args: readonly unknown[],
  isHandler: boolean,
) {
  if (isHandler && (isPerCaller || key.ofRequest.length > 0)) {
    throw new InvalidOptionsError(`${declaration.name}: key`, ['a handler that is called by hand has no request']);
  }
  return key.forCall(args);
}
