import { type Duration, toMs } from '../common/duration.ts';
import { InvalidOptionsError, InvalidTtlError } from '../common/errors.ts';
import { as, duration, flag, rule, type RulesOf } from '../common/option-rules.ts';
import { readOptions } from '../common/read-options.ts';
import { LOCK_RULES, type ResolvedLockModuleOptions } from './lock.options.ts';

/** How one lock is taken; what is left out comes from the module's `lock` options. */
export interface LockOptions {
  /** How long the lease lasts unless it is extended. At most 10 minutes. @default '30s' */
  readonly ttl?: Duration;
  /** How long to wait for the holder, at most an hour; `'0s'` for not at all. @default `retryCount` × `retryDelay` */
  readonly wait?: Duration;
  /** @default 3 */
  readonly retryCount?: number;
  /** Milliseconds between attempts, shortened at random by up to half. @default 100 */
  readonly retryDelay?: number;
  /** Prolong the lease for as long as it is held. @default true */
  readonly extend?: boolean;
  /** Ends the wait when it aborts; a lock that is already held is not affected. */
  readonly signal?: AbortSignal;
  /** Without the server: refuse, or lock in this process only. @default 'reject' */
  readonly onOutage?: 'reject' | 'local';
}

/** `LockOptions` with nothing left open; durations in milliseconds. */
export interface LockRequest {
  readonly ttlMs: number;
  readonly waitMs: number;
  readonly retryDelayMs: number;
  readonly extend: boolean;
  readonly onOutage: 'reject' | 'local';
  readonly signal?: AbortSignal;
}

const RULES = {
  ...LOCK_RULES,
  wait: as('waitMs', duration('0ms', '1h')),
  extend: flag,
  signal: rule('an AbortSignal', (value) => (value instanceof AbortSignal ? value : undefined)),
} satisfies RulesOf<LockOptions>;

/** @throws InvalidOptionsError that lists every fault */
export function resolveLockRequest(options: LockOptions, defaults: ResolvedLockModuleOptions): LockRequest {
  const faults: string[] = [];
  const { retryCount, ...request } = { extend: true, ...defaults, ...readOptions(options, RULES, faults) };
  if (faults.length > 0) throw new InvalidOptionsError('Wrong lock options', faults);
  return { waitMs: retryCount * request.retryDelayMs, ...request };
}

/** Positional ttl of a lock. @throws InvalidTtlError for anything but 1 ms to 10 minutes */
export function leaseMs(ttl: number | Duration, numberUnit: 's' | 'ms'): number {
  const ms = toMs(ttl, numberUnit);
  if (LOCK_RULES.ttl.read(`${ms}ms`) !== undefined) return ms;
  throw new InvalidTtlError(`The ttl of a lock must be ${LOCK_RULES.ttl.allowed}; received ${ms} ms`);
}
