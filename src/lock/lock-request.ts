import { type Duration, toMs } from '../common/duration.ts';
import { InvalidOptionsError, InvalidTtlError } from '../common/errors.ts';
import { as, duration, flag, integer, rule, type RulesOf } from '../common/option-rules.ts';
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
  /**
   * How many replicas of the server must have the lock before it counts; with fewer of them in time it is
   * LockUnavailableError. Without a server there is none to wait for. @default 0
   */
  readonly replicas?: number;
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
  readonly replicas: number;
  /** How many may hold the resource at a time, as far as this holder is concerned. */
  readonly limit: number;
  readonly signal?: AbortSignal;
  /** What `@WithLock` calls it; figures are kept by it. */
  readonly name?: string;
  /** Left out: a new one. */
  readonly token?: string;
  /** What is taken is only known by its token: nobody tells when it is not needed any more. */
  readonly isUnattended?: boolean;
}

/** Options of a lock that do not change from call to call. */
export const LOCK_HOLD_RULES = {
  ttl: LOCK_RULES.ttl,
  onOutage: LOCK_RULES.onOutage,
  wait: as('waitMs', duration('0ms', '1h')),
  extend: flag,
  replicas: integer(0, 100),
};

const RULES = {
  ...LOCK_RULES,
  ...LOCK_HOLD_RULES,
  signal: rule('an AbortSignal', (value) => (value instanceof AbortSignal ? value : undefined)),
} satisfies RulesOf<LockOptions>;

/** Reads options into requests. What never changes, such as the options of a decorator, is read once. */
export class LockRequests {
  readonly #byDefault: LockRequest;
  readonly #known = new WeakMap<LockOptions, LockRequest>();

  constructor(private readonly defaults: ResolvedLockModuleOptions) {
    this.#byDefault = this.#read({});
  }

  /** @throws InvalidOptionsError that lists every fault */
  of(options?: LockOptions): LockRequest {
    if (options === undefined) return this.#byDefault;
    if (!Object.isFrozen(options)) return this.#read(options);
    const known = this.#known.get(options);
    if (known !== undefined) return known;
    const request = this.#read(options);
    this.#known.set(options, request);
    return request;
  }

  #read(options: LockOptions): LockRequest {
    const faults: string[] = [];
    const given = readOptions(options, RULES, faults);
    const { retryCount, ...request } = { extend: true, replicas: 0, limit: 1, ...this.defaults, ...given };
    if (faults.length > 0) throw new InvalidOptionsError('Wrong lock options', faults);
    return { waitMs: retryCount * request.retryDelayMs, ...request };
  }
}

/** Positional ttl of a lock. @throws InvalidTtlError for anything but 1 ms to 10 minutes */
export function leaseMs(ttl: number | Duration, numberUnit: 's' | 'ms'): number {
  const ms = toMs(ttl, numberUnit);
  if (LOCK_RULES.ttl.read(`${ms}ms`) !== undefined) return ms;
  throw new InvalidTtlError(`The ttl of a lock must be ${LOCK_RULES.ttl.allowed}; received ${ms} ms`);
}
