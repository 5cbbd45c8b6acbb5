import { CACHE_METRICS } from './cache.metrics.ts';
import type { MetricDefinition } from './metric-definition.ts';
import { PROTECTION_METRICS } from './protection.metrics.ts';
import { SERVER_METRICS } from './server.metrics.ts';

/** Every metric of this package, without its prefix. */
export const METRICS: readonly MetricDefinition[] = [...CACHE_METRICS, ...SERVER_METRICS, ...PROTECTION_METRICS];
