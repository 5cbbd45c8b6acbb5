import { gauge, counter, type MetricDefinition } from './metric-definition.ts';

/** The server, as this process sees it. */
export const SERVER_METRICS: readonly MetricDefinition[] = [
  gauge(
    'server_up',
    'Whether the configured server is used now',
    [],
    // Without a server nothing can be down: there is no series then.
    ({ local }) => (local.mode === 'memory' ? [] : [[local.mode === 'server' ? 1 : 0]]),
    'min',
  ),
  counter('server_reconnects', 'How often the server was reached again', [], ({ telemetry }) => [
    [telemetry.reconnects],
  ]),
  gauge(
    'degraded',
    'Whether a configured server does not answer',
    [],
    ({ local }) => [[local.degradedSince === null ? 0 : 1]],
    'max',
  ),
  gauge('journal_entries', 'Changes that the server has not heard of yet', [], ({ local }) => [[local.journal]]),
];
