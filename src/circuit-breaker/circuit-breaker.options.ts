import type { Duration } from '../common/duration.ts';
import { as, duration, durationOrMs, integer, number, type RulesOf } from '../common/option-rules.ts';

/** The breaker in front of the server: while it is open, no call waits for the server. */
export interface ServerBreakerOptions {
  /** Unanswered calls within the monitoring period that open it, when they are more than half. 1 to 10000. @default 5 */
  readonly failureThreshold?: number;
  /** How long it stays open before a trial call. @default '1s' */
  readonly recoveryTimeout?: Duration;
  /** How far back failures count. @default '1s' */
  readonly monitoringPeriod?: Duration;
  /** Trial calls after the break, side by side: all have to be answered before the server is used. 1 to 100. @default 1 */
  readonly halfOpenMaxCalls?: number;
}

/** Defaults of the application's own breakers, and the breaker in front of the server. */
export interface CircuitBreakerModuleOptions {
  /** How long an operation may take before it counts as failed; a bare number is in milliseconds. @default '3s' */
  readonly timeout?: Duration | number;
  /** Share of failed calls that opens the breaker. 0 to 100. @default 50 */
  readonly errorThresholdPercentage?: number;
  /** How long it stays open before a trial call; a bare number is in milliseconds. @default '30s' */
  readonly resetTimeout?: Duration | number;
  readonly server?: ServerBreakerOptions;
}

export interface ResolvedServerBreakerOptions {
  readonly failureThreshold: number;
  readonly recoveryTimeoutMs: number;
  readonly monitoringPeriodMs: number;
  readonly halfOpenMaxCalls: number;
}

export interface ResolvedCircuitBreakerModuleOptions {
  readonly timeoutMs: number;
  readonly errorThresholdPercentage: number;
  readonly resetTimeoutMs: number;
  readonly server: ResolvedServerBreakerOptions;
}

export const CIRCUIT_BREAKER_DEFAULTS: ResolvedCircuitBreakerModuleOptions = {
  timeoutMs: 3_000,
  errorThresholdPercentage: 50,
  resetTimeoutMs: 30_000,
  server: { failureThreshold: 5, recoveryTimeoutMs: 1_000, monitoringPeriodMs: 1_000, halfOpenMaxCalls: 1 },
};

export const CIRCUIT_BREAKER_RULES = {
  timeout: as('timeoutMs', durationOrMs('1ms', '10m')),
  errorThresholdPercentage: number(0, 100),
  resetTimeout: as('resetTimeoutMs', durationOrMs('1ms', '1d')),
  server: {
    failureThreshold: integer(1, 10_000),
    recoveryTimeout: as('recoveryTimeoutMs', duration('1ms', '10m')),
    monitoringPeriod: as('monitoringPeriodMs', duration('10ms', '10m')),
    halfOpenMaxCalls: integer(1, 100),
  },
} satisfies RulesOf<CircuitBreakerModuleOptions>;
