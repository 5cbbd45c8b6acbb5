import type { CircuitBreaker } from '../circuit-breaker/circuit-breaker.handle.ts';
import {
  CIRCUIT_BREAKER_DEFAULTS,
  type ResolvedServerBreakerOptions,
} from '../circuit-breaker/circuit-breaker.options.ts';
import { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { isOutage } from './redis.outcome.ts';

/** The circuits of the application, and how the one in front of the server judges. */
export interface ServerBreaker {
  readonly circuits: CircuitBreakerService;
  readonly options: ResolvedServerBreakerOptions;
}

export const defaultBreaker = (): ServerBreaker => ({
  circuits: new CircuitBreakerService(),
  options: CIRCUIT_BREAKER_DEFAULTS.server,
});

/** Runs the commands of one shard, each given as a function. */
export type ServerCircuit = CircuitBreaker<[command: () => Promise<unknown>]>;

const run = (command: () => Promise<unknown>): Promise<unknown> => command();

/**
 * The breaker in front of one shard: a node of a cluster, or the whole server. It opens when the server is connected
 * and does not answer, which nothing else would notice; what it refuses or answers otherwise never counts.
 */
export function createServerCircuit({ circuits, options }: ServerBreaker, shard = 'server'): ServerCircuit {
  return circuits.create(run, {
    name: `nestjs-keep:${shard}`,
    // Every command has a deadline of its own.
    timeout: false,
    errorThresholdPercentage: 50,
    volumeThreshold: options.failureThreshold,
    window: options.monitoringPeriodMs,
    resetTimeout: options.recoveryTimeoutMs,
    halfOpenMaxCalls: options.halfOpenMaxCalls,
    errorFilter: (error) => !isOutage(error),
    // The availability tells what it means.
    isQuiet: true,
  });
}
