import type { CacheStatsReader, LocalStats } from '../cache/cache-stats.ts';
import { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { Telemetry } from '../common/telemetry.ts';
import { CacheHealthIndicator } from './cache.health.ts';
import type { HealthOptions } from './health.options.ts';

const START = Date.parse('2026-05-04T09:00:00.000Z');
const minutes = (count: number): string => new Date(START + count * 60_000).toISOString();
const pass = (count: number) => jest.advanceTimersByTime(count * 60_000);

let circuits: CircuitBreakerService;
let local: Partial<LocalStats>;
let health: CacheHealthIndicator;
let telemetry: Telemetry;
beforeEach(() => {
  jest.useFakeTimers({ now: START });
  circuits = new CircuitBreakerService();
  local = { mode: 'server', journal: 0, degradedSince: null, degradedReason: null };
  telemetry = new Telemetry();
  const stats = { local: () => local } as unknown as CacheStatsReader;
  health = new CacheHealthIndicator(stats, circuits, undefined, telemetry);
});
afterEach(() => {
  circuits.onApplicationShutdown();
  jest.useRealTimers();
});

const ask = (options?: HealthOptions) => health.check('cache', options).cache;
const call = (name: string) => circuits.execute(name, () => Promise.resolve(1));
async function open(name: string): Promise<void> {
  const fail = () => Promise.reject(new Error('down'));
  await circuits.execute(name, fail, { volumeThreshold: 1, resetTimeout: '1h' }).catch(() => undefined);
}

it('tells since when the first of the open breakers is open', async () => {
  await open('orders');
  pass(1);
  await call('payments');
  circuits.isolate('payments');
  expect(ask()).toMatchObject({
    ...{ status: 'degraded', since: minutes(0), reason: 'open breakers: orders, payments' },
    openBreakers: ['orders', 'payments'],
  });
  circuits.close('orders');
  expect(ask()).toMatchObject({ since: minutes(1), openBreakers: ['payments'] });
});

it('goes on telling it while calls are tried, and anew once it was closed', async () => {
  await open('orders');
  pass(1);
  circuits.isolate('orders');
  expect(ask().since).toBe(minutes(0));
  circuits.close('orders');
  pass(1);
  circuits.isolate('orders');
  expect(ask().since).toBe(minutes(2));
});

it('shows the breaker in front of the server as the outage it brings', async () => {
  await call('nestjs-keep:server');
  circuits.isolate('nestjs-keep:server');
  expect(ask()).toEqual({ status: 'up', mode: 'server', journal: 0, openBreakers: [] });
  local = { ...local, mode: 'degraded', journal: 3, degradedSince: START, degradedReason: 'connection lost\u001b[31m' };
  expect(ask()).toEqual({
    ...{ status: 'degraded', mode: 'degraded', journal: 3, openBreakers: [], since: minutes(0) },
    reason: 'the server cannot be used: connection lost?[31m',
  });
});

it('puts what is worst first', async () => {
  local = { ...local, mode: 'degraded', degradedSince: START - 60_000, degradedReason: 'gone' };
  await call('orders');
  circuits.isolate('orders');
  const outage = 'the server cannot be used: gone';
  const breakers = 'open breakers: orders';
  expect(ask({ onOpenBreaker: 'down' })).toMatchObject({
    ...{ status: 'down', reason: `${breakers}; ${outage}`, since: minutes(0) },
  });
  expect(ask({ onOutage: 'down' })).toMatchObject({
    ...{ status: 'down', reason: `${outage}; ${breakers}`, since: minutes(-1) },
  });
  expect(ask({ onOutage: 'up', onOpenBreaker: 'up' })).toMatchObject({ status: 'up', mode: 'degraded' });
});

it('names twenty breakers, no more', async () => {
  for (let id = 0; id < 25; id++) await open(`upstream ${id}`);
  const { openBreakers, reason } = ask();
  expect(openBreakers).toHaveLength(20);
  expect(reason!.length).toBeLessThanOrEqual(300);
});

it('shows what was decided without the server, while the server seems well, too, until a minute after the last time', () => {
  expect(ask()).not.toHaveProperty('decidedHere');
  telemetry.policies.of('otp').degraded = 2;
  expect(ask()).toMatchObject({
    ...{ status: 'degraded', since: minutes(0), reason: 'decided without the server: 2 rate limits, 0 locks' },
    decidedHere: { rateLimits: 2, locks: 0 },
  });
  pass(1);
  telemetry.locks.of('order').degraded = 1;
  expect(ask()).toMatchObject({ since: minutes(0), decidedHere: { rateLimits: 2, locks: 1 } });
  pass(1);
  expect(ask({ onOutage: 'down' })).toMatchObject({ status: 'down', decidedHere: { rateLimits: 2, locks: 1 } });
  pass(1);
  expect(ask()).toEqual({ status: 'up', mode: 'server', journal: 0, openBreakers: [] });
  telemetry.policies.of('page').degraded = 5;
  expect(ask()).toMatchObject({ since: minutes(3), decidedHere: { rateLimits: 5, locks: 0 } });
});

it('says of an outage first that it is one', () => {
  local = { ...local, mode: 'degraded', degradedSince: START - 1, degradedReason: 'gone' };
  telemetry.policies.of('otp').degraded = 1;
  expect(ask().reason).toBe('the server cannot be used: gone; decided without the server: 1 rate limits, 0 locks');
});
