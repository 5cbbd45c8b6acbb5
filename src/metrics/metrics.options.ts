import type { Duration } from '../common/duration.ts';
import { as, duration, flag, text, type RulesOf } from '../common/option-rules.ts';

export interface MetricsOptions {
  /** Prometheus metrics, where `prom-client` is installed. @default true */
  readonly enabled?: boolean;
  /** What every name begins with. @default 'cache_' */
  readonly prefix?: string;
  /** Logs a line with the figures of the last minute, five minutes and hour this often. @default never */
  readonly logEvery?: Duration;
  /** Prints lines in CloudWatch's embedded metric format this often. @default never */
  readonly cloudWatchEvery?: Duration;
}

export interface ResolvedMetricsOptions {
  readonly enabled: boolean;
  readonly prefix: string;
  /** 0: never. */
  readonly logEveryMs: number;
  /** 0: never. */
  readonly cloudWatchEveryMs: number;
}

export const METRICS_DEFAULTS: ResolvedMetricsOptions = {
  enabled: true,
  prefix: 'cache_',
  logEveryMs: 0,
  cloudWatchEveryMs: 0,
};

export const METRICS_RULES = {
  enabled: flag,
  prefix: text('1 to 64 letters, digits and _, not beginning with a digit', /^[a-zA-Z_]\w{0,63}$/),
  logEvery: as('logEveryMs', duration('1s', '1d')),
  cloudWatchEvery: as('cloudWatchEveryMs', duration('1s', '1d')),
} satisfies RulesOf<MetricsOptions>;
