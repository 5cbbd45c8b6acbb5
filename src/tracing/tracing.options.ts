import { flag, type RulesOf } from '../common/option-rules.ts';

export interface TracingOptions {
  /**
   * OpenTelemetry spans, where `@opentelemetry/api` is installed and an SDK is registered before the module starts.
   * @default true
   */
  readonly enabled?: boolean;
}

export type ResolvedTracingOptions = Required<TracingOptions>;

export const TRACING_DEFAULTS: ResolvedTracingOptions = { enabled: true };

export const TRACING_RULES = { enabled: flag } satisfies RulesOf<TracingOptions>;
