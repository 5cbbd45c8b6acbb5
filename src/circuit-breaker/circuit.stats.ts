import type { CircuitBreakerConfig } from './circuit.config.ts';

/** `ISOLATED`: held open by hand. */
export type CircuitState = 'CLOSED' | 'OPEN' | 'HALF_OPEN' | 'ISOLATED';

/** What happened since the circuit was made, or reset. */
export interface CircuitCounts {
  /** Calls, refused ones included. */
  readonly fires: number;
  /** Calls that succeeded, or failed with an error that does not count. */
  readonly successes: number;
  /** Calls that failed, those that took too long included. */
  readonly failures: number;
  readonly timeouts: number;
  /** Calls that were not let through. */
  readonly rejects: number;
  readonly fallbacks: number;
  /** Half of the calls of the last minute ended within this many milliseconds; 0 without calls. */
  readonly p50Ms: number;
  /** 99 of 100 calls of the last minute did. */
  readonly p99Ms: number;
}

/** One circuit as `getStats()` shows it. */
export interface CircuitBreakerStats {
  readonly name: string;
  readonly state: CircuitState;
  /** Every call is let through, by hand. */
  readonly isBypassed: boolean;
  readonly stats: CircuitCounts;
  /** When a call is tried again, in milliseconds since the epoch; null unless the circuit is open. */
  readonly nextTryAt: number | null;
  /** Durations in milliseconds. */
  readonly config: CircuitBreakerConfig;
}

export interface CircuitChange {
  readonly name: string;
  readonly from: CircuitState;
  readonly to: CircuitState;
  readonly reason: string;
  readonly nextTryAt: number | null;
}
