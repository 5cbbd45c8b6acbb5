import { oneOf, type RulesOf } from '../common/option-rules.ts';

/** What the health indicator says. */
export type HealthStatus = 'up' | 'degraded' | 'down';

export interface HealthOptions {
  /** While a configured server does not answer; `'down'` answers 503, and an orchestrator takes the process out. @default 'degraded' */
  readonly onOutage?: HealthStatus;
  /** While a breaker of the application is open. @default 'degraded' */
  readonly onOpenBreaker?: HealthStatus;
}

export type ResolvedHealthOptions = Required<HealthOptions>;

export const HEALTH_DEFAULTS: ResolvedHealthOptions = { onOutage: 'degraded', onOpenBreaker: 'degraded' };

const status = oneOf<HealthStatus>('up', 'degraded', 'down');
export const HEALTH_RULES = { onOutage: status, onOpenBreaker: status } satisfies RulesOf<HealthOptions>;
