import type { Duration } from '../common/duration.ts';
import { as, duration, integer, oneOf, type RulesOf } from '../common/option-rules.ts';

/** Defaults of every lock. */
export interface LockModuleOptions {
  /** How long a lease lasts unless it is extended. At most 10 minutes. @default '30s' */
  readonly ttl?: Duration;
  /** Milliseconds between attempts; with `retryCount` it bounds the wait. @default 100 */
  readonly retryDelay?: number;
  /** @default 3 */
  readonly retryCount?: number;
  /** Without the server: refuse, or lock in this process only. @default 'reject' */
  readonly onOutage?: 'reject' | 'local';
}

export interface ResolvedLockModuleOptions {
  readonly ttlMs: number;
  readonly retryDelayMs: number;
  readonly retryCount: number;
  readonly onOutage: 'reject' | 'local';
}

export const LOCK_DEFAULTS: ResolvedLockModuleOptions = {
  ttlMs: 30_000,
  retryDelayMs: 100,
  retryCount: 3,
  onOutage: 'reject',
};

export const LOCK_RULES = {
  ttl: as('ttlMs', duration('1ms', '10m')),
  retryDelay: as('retryDelayMs', integer(1, 60_000)),
  retryCount: integer(0, 1_000),
  onOutage: oneOf('reject', 'local'),
} satisfies RulesOf<LockModuleOptions>;
