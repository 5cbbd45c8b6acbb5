import type { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { shownText } from '../common/shown-text.ts';
import type { Telemetry } from '../common/telemetry.ts';
import type { Tracing } from '../common/tracing.ts';

/** Notes what breakers and locks do in the span of whoever called. */
export function traceEvents(tracing: Tracing, circuits: CircuitBreakerService, telemetry: Telemetry): void {
  circuits.onStateChange(({ name, from, to }) =>
    tracing.event('circuit_breaker.state_change', {
      'circuit_breaker.name': shownText(name),
      'circuit_breaker.from': from,
      'circuit_breaker.to': to,
    }),
  );
  circuits.onRefusal((name) => tracing.event('circuit_breaker.refusal', { 'circuit_breaker.name': shownText(name) }));
  telemetry.onLock = (outcome, name = 'other') => tracing.event(`lock.${outcome}`, { 'lock.name': shownText(name) });
}
