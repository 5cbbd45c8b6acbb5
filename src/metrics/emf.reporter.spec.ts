import type { CacheStatsReader } from '../cache/cache-stats.ts';
import { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { EmfReporter } from './emf.reporter.ts';

it('prints what CloudWatch makes metrics of, one line for the cache and one for each breaker', async () => {
  const circuits = new CircuitBreakerService();
  await circuits.execute('orders\n', () => Promise.resolve(1));
  circuits.isolate('orders\n');
  const lines: string[] = [];
  const stats = { local: () => ({ windows: { '1m': { hitRate: 0.9, p99Ms: 2 } } }) } as unknown as CacheStatsReader;
  new EmfReporter({ stats, circuits, service: 'shop', everyMs: 0, write: (line) => lines.push(line) }).report();
  circuits.onApplicationShutdown();
  expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { Service: 'shop', CacheHitRate: 0.9, CacheLatency: 2 },
    { Service: 'shop', Breaker: 'orders\n', CircuitBreakerState: 1 },
  ]);
  const { _aws } = JSON.parse(lines[0]!) as { _aws: object };
  expect(_aws).toEqual({
    Timestamp: expect.any(Number) as number,
    CloudWatchMetrics: [
      {
        Namespace: 'NestjsKeep',
        Dimensions: [['Service']],
        Metrics: [
          { Name: 'CacheHitRate', Unit: 'None' },
          { Name: 'CacheLatency', Unit: 'Milliseconds' },
        ],
      },
    ],
  });
});
