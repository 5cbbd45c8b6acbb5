import type { CacheStatsReader } from '../cache/cache-stats.ts';
import { LeveledLogger } from '../common/leveled-logger.ts';
import { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { EmfReporter } from './emf.reporter.ts';
import { MetricsLog } from './metrics.log.ts';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const figures = { hitRate: 0.934, errorRate: 0.01, throughput: 12, p95Ms: 2, p99Ms: 3 };
const stats = {
  local: () => ({ mode: 'server', windows: { '1m': figures, '5m': figures, '1h': figures } }),
} as unknown as CacheStatsReader;

it('logs the windows as often as is wanted, and no more once the application has ended', () => {
  const lines: string[] = [];
  const logger = new LeveledLogger('CacheMetrics', 'log');
  jest.spyOn(logger, 'log').mockImplementation((line) => void lines.push(line));
  const log = new MetricsLog(stats, 60_000, logger);
  log.onModuleInit();
  jest.advanceTimersByTime(120_000);
  log.onApplicationShutdown();
  jest.advanceTimersByTime(120_000);
  const minute = '1m hits 93.4 %, errors 1.0 %, 12/s, p95 2 ms, p99 3 ms';
  expect(lines).toEqual(Array(2).fill(expect.stringContaining(`mode server; ${minute}; 5m hits 93.4 %`)));
});

it('prints for CloudWatch as often as is wanted', () => {
  const lines: string[] = [];
  const circuits = new CircuitBreakerService();
  const write = (line: string) => void lines.push(line);
  const reporter = new EmfReporter({ stats, circuits, service: 'shop', everyMs: 60_000, write });
  reporter.onModuleInit();
  jest.advanceTimersByTime(60_000);
  reporter.onApplicationShutdown();
  jest.advanceTimersByTime(60_000);
  expect(lines).toHaveLength(1);
});

it('does neither unless it is wanted', () => {
  new MetricsLog(stats, 0, new LeveledLogger('CacheMetrics', 'log')).onModuleInit();
  new EmfReporter({ stats, circuits: new CircuitBreakerService(), service: 'shop', everyMs: 0 }).onModuleInit();
  expect(jest.getTimerCount()).toBe(0);
});
