import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { register } from 'prom-client';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheModule, CacheService, CircuitBreakerService, LockService, RateLimitService } from '../../src/index.ts';
import type { CacheModuleOptions } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const open: TestingModule[] = [];
async function start(options: CacheModuleOptions = {}): Promise<TestingModule> {
  const imports = [PrometheusModule.register({ defaultMetrics: { enabled: false } }), CacheModule.forRoot(options)];
  const module = await Test.createTestingModule({ imports }).compile();
  open.push(module);
  await module.init();
  return module;
}

let server: TestServers;
beforeAll(async () => {
  server = await startStandalone();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((module) => module.close()));
  register.clear();
});
afterAll(() => server.stop());

const onServer = (): CacheModuleOptions => ({
  redis: { url: server.url, commandTimeout: '5s' },
  keys: { prefix: `metrics-${Date.now()}` },
});
const lines = (scrape: string): string[] => scrape.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
/** The value of one series, or undefined when there is none. */
async function shown(series: string): Promise<number | undefined> {
  const line = lines(await register.metrics()).find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('metrics', () => {
  it('stay few, whatever is in keys, users, addresses and locks', async () => {
    const module = await start();
    const [cache, locks, limits] = [module.get(CacheService), module.get(LockService), module.get(RateLimitService)];
    const use = async (id: string) => {
      await cache.getOrSet(`user:${id}`, 60, () => id);
      await limits.consume({ name: 'page', limit: 5, window: '1m' }, `10.0.${id}`);
      await (await locks.tryAcquire(`order:${id}`))?.release();
    };
    await use('first');
    const before = lines(await register.metrics()).length;
    for (let id = 0; id < 20_000; id++) await use(`${id}\n"}`);
    const scrape = await register.metrics();
    expect(lines(scrape).length - before).toBeLessThanOrEqual(20);
    expect(scrape.length).toBeLessThan(300_000);
    expect(scrape).not.toMatch(/10\.0\.|user:|order:/);
  });

  it('stay bounded when names are made of data, too', async () => {
    const module = await start();
    const cache = module.get(CacheService);
    const circuits = module.get(CircuitBreakerService);
    for (let id = 0; id < 900; id++) {
      await cache.namespace(`user ${id}`).get('x');
      await circuits.execute(`upstream ${id}`, () => Promise.resolve(1));
    }
    const scrape = await register.metrics();
    expect(scrape.length).toBeLessThan(300_000);
    expect(await shown('cache_misses_total{cache="other"}')).toBeGreaterThan(700);
  });

  it('say what is there', async () => {
    const module = await start(onServer());
    const cache = module.get(CacheService);
    await cache.set('a', 'x');
    await cache.namespace('shop').get('none');
    await Promise.all([1, 2, 3].map(() => cache.getOrSet('b', 60, () => 2)));
    await cache.get('b');
    await cache.delByTag('t');
    const stats = await cache.getStats();
    expect(await shown('cache_entries{tier="l1"}')).toBe(stats.tiers.l1.entries);
    expect(await shown('cache_bytes{tier="l1"}')).toBe(stats.tiers.l1.bytes);
    expect(await shown('cache_entries{tier="l2"}')).toBe(stats.tiers.l2?.keys);
    expect(await shown('cache_server_up')).toBe(1);
    expect(await shown('cache_degraded')).toBe(0);
    expect(await shown('cache_journal_entries')).toBe(0);
    expect(await shown('cache_misses_total{cache="shop"}')).toBe(1);
    expect(await shown('cache_misses_total{cache="default"}')).toBe(3);
    expect(await shown('cache_loads_total{cache="default"}')).toBe(1);
    expect(await shown('cache_coalesced_total')).toBe(2);
    expect(await shown('cache_hits_total{cache="default",tier="l1"}')).toBe(1);
    expect(await shown('cache_invalidations_total{by="tag"}')).toBe(1);
    expect(await shown('cache_factory_duration_seconds_count{cache="default"}')).toBe(1);
    expect(await shown('cache_operation_duration_seconds_count{operation="write",tier="l2"}')).toBe(1);
    expect(await shown('cache_circuit_breaker_state{breaker="nestjs-keep:server"}')).toBe(0);
    expect(cache.getMetrics()).toMatchObject({ hits: 1, misses: 4, loads: 1, coalesced: 2 });
  });

  it('say that the server is away, and how often it came back', async () => {
    const own = await startStandalone();
    const module = await start({ redis: { url: own.url } });
    expect(await shown('cache_server_up')).toBe(1);
    await own.kill();
    await module.get(CacheService).getOrSet('a', 60, () => 1);
    await eventually(async () => expect(await shown('cache_server_up')).toBe(0));
    expect(await shown('cache_degraded')).toBe(1);
    expect(module.get(CacheService).getLocalStats()).toMatchObject({ degradedReason: expect.any(String) as string });
    await own.restart();
    await eventually(async () => expect(await shown('cache_server_up')).toBe(1), { withinMs: 10_000 });
    expect(await shown('cache_server_reconnects_total')).toBe(1);
    await own.stop();
  });

  it('are the sum of the applications of a process, and those that ended are gone', async () => {
    const [one, other] = [await start(), await start()];
    await one.get(CacheService).set('a', 1);
    await other.get(CacheService).set('a', 1);
    await other.get(CacheService).get('a');
    expect(await shown('cache_sets_total')).toBe(2);
    await one.close();
    expect(await shown('cache_sets_total')).toBe(1);
    expect(await shown('cache_server_up')).toBeUndefined();
  });

  it('count locks and decisions, and say how many locks are held', async () => {
    const module = await start();
    const locks = module.get(LockService);
    const lock = await locks.acquire('order:1');
    await locks.tryAcquire('order:1', { signal: AbortSignal.timeout(1_000) });
    expect(await shown('cache_active_locks')).toBe(1);
    await lock.release();
    const policy = { name: 'page', limit: 1, window: '1m' } as const;
    for (let call = 0; call < 3; call++) await module.get(RateLimitService).consume(policy, 'ann');
    // What is shown stays the same for a tenth of a second.
    await eventually(async () => expect(await shown('cache_active_locks')).toBe(0));
    expect(await shown('cache_lock_acquire_total{lock="other",outcome="acquired"}')).toBe(1);
    expect(await shown('cache_rate_limit_decisions_total{policy="page",decision="allowed"}')).toBe(1);
    expect(await shown('cache_rate_limit_decisions_total{policy="page",decision="refused"}')).toBe(2);
  });

  it('have the prefix that is wanted, and are not there when they are not', async () => {
    await start({ metrics: { prefix: 'shop_' } });
    await start({ metrics: { enabled: false } });
    expect(await register.metrics()).toContain('shop_sets_total 0');
    expect(await register.metrics()).not.toContain('cache_sets_total');
  });

  it('count a read with a name of its own there', async () => {
    const module = await start();
    const options = { name: 'profiles' } as const;
    await module.get(CacheService).getOrSet('a', options, () => 1);
    await module.get(CacheService).getOrSet('a', options, () => 1);
    expect(await shown('cache_hits_total{cache="profiles",tier="l1"}')).toBe(1);
    expect(await shown('cache_misses_total{cache="profiles"}')).toBe(1);
    expect(await shown('cache_misses_total{cache="default"}')).toBe(0);
  });
});
