import { circuitOf, runGiven } from '../circuit-breaker/circuit-breaker.handle.ts';
import {
  CIRCUIT_BREAKER_DEFAULTS,
  type ResolvedServerBreakerOptions,
} from '../circuit-breaker/circuit-breaker.options.ts';
import { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import type { Circuit } from '../circuit-breaker/circuit.ts';
import { isOutage } from './redis.outcome.ts';

/** The circuits of the application, and how the one in front of the server judges. */
export interface ServerBreaker {
  readonly circuits: CircuitBreakerService;
  readonly options: ResolvedServerBreakerOptions;
}

const OURS = 'nestjs-keep:';

/** Whether a circuit stands in front of the server, and is not one of the application's. */
export const isServerCircuit = (name: string): boolean => name.startsWith(OURS);

export const defaultBreaker = (): ServerBreaker => ({
  circuits: new CircuitBreakerService(),
  options: CIRCUIT_BREAKER_DEFAULTS.server,
});

/**
 * The breaker in front of one shard: a node of a cluster, or the whole server. It opens when the server is connected
 * and does not answer, which nothing else would notice; what it refuses or answers otherwise never counts.
 */
export function createServerCircuit(
  { circuits, options }: ServerBreaker,
  commandTimeoutMs: number,
  shard = 'server',
): Circuit {
  const handle = circuits.create(runGiven, {
    name: OURS + shard,
    timeout: commandTimeoutMs,
    errorThresholdPercentage: 50,
    volumeThreshold: options.failureThreshold,
    window: options.monitoringPeriodMs,
    resetTimeout: options.recoveryTimeoutMs,
    halfOpenMaxCalls: options.halfOpenMaxCalls,
    errorFilter: (error) => !isOutage(error),
    // The availability tells what it means.
    isQuiet: true,
  });
  return circuitOf(handle);
}
