import { Controller, type INestApplication, Post } from '@nestjs/common';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { register } from 'prom-client';
import request from 'supertest';
import type { App } from 'supertest/types.js';
import { CacheHealthIndicator, CurrentLock, type Lock, LockService, WithLock } from '../../src/index.ts';
import { freePorts, HOST } from '../support/free-ports.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

let handled = 0;

@Controller('orders')
class Orders {
  @Post('safe')
  @WithLock({ key: 'order:safe:{ip}' })
  async safe(): Promise<string> {
    handled += 1;
    return 'done';
  }

  @Post('lenient')
  @WithLock({ key: 'order:lenient', onOutage: 'local' })
  async lenient(@CurrentLock() lock: Lock): Promise<object> {
    return { degraded: lock.degraded };
  }
}

async function shown(series: string): Promise<number | undefined> {
  const line = (await register.metrics()).split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}
const outcome = (lock: string, of: string): string => `cache_lock_acquire_total{lock="${lock}",outcome="${of}"}`;

describe.each(PLATFORMS)('locks on %s', (platform) => {
  let app: INestApplication<App>;
  let server: TestServers | undefined;
  const open = async (port: number): Promise<void> => {
    handled = 0;
    app = await openHttpApp({
      platform,
      cache: { redis: { url: `redis://${HOST}:${port}`, commandTimeout: '5s' }, logLevel: 'fatal' },
      imports: [PrometheusModule.register({ defaultMetrics: { enabled: false } })],
      controllers: [Orders],
    });
  };
  const post = (path: string) => request(app.getHttpServer()).post(`/orders/${path}`);
  const expectUnavailable = async (): Promise<void> => {
    const answer = await post('safe');
    const { status, headers } = answer;
    const body = answer.body as Record<string, unknown>;
    expect([status, headers['retry-after'], handled]).toEqual([503, '1', 0]);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({ code: 'KEEP_LOCK_UNAVAILABLE', status: 503, lock: 'order:safe' });
    expect(body['type']).toMatch(/#lock-unavailable$/);
    expect(JSON.stringify(body)).not.toContain(HOST);
  };
  afterEach(async () => {
    await app.close();
    await server?.stop();
    server = undefined;
    register.clear();
  });

  it('LOCK-06: are refused without the server, or local where that is wanted; metrics and health tell', async () => {
    const [port] = await freePorts(1);
    await open(port!);
    await expectUnavailable();
    expect((await post('lenient')).body).toEqual({ degraded: true });
    expect(await shown(outcome('order:safe', 'unavailable'))).toBe(1);
    expect(await shown(outcome('order:lenient', 'degraded'))).toBe(1);
    expect(await shown(outcome('order:lenient', 'acquired'))).toBe(0);
    expect(app.get(LockService).getMetrics()).toMatchObject({ unavailable: 1, degraded: 1, acquired: 0, held: 0 });
    const { cache } = app.get(CacheHealthIndicator).check();
    expect(cache.reason).toContain('the server cannot be used');
  });

  it('are unavailable, not taken by somebody, when the server is out of memory', async () => {
    server = await startStandalone();
    await open(server.port);
    await server.ask('CONFIG', 'SET', 'maxmemory', '1');
    await expectUnavailable();
    await expect(app.get(LockService).tryAcquire('anything')).rejects.toMatchObject({ code: 'KEEP_LOCK_UNAVAILABLE' });
    expect(app.get(LockService).getMetrics()).toMatchObject({ conflicts: 0, unavailable: 2 });
    await server.ask('CONFIG', 'SET', 'maxmemory', '0');
    expect((await post('safe')).status).toBe(201);
    expect((await post('lenient')).body).toEqual({ degraded: false });
  });

  it('are counted by what decorators call them, and all others together', async () => {
    server = await startStandalone();
    await open(server.port);
    const locks = app.get(LockService);
    await post('safe');
    const lock = await locks.acquire('order:41');
    expect(await locks.tryAcquire('order:41')).toBeNull();
    expect(await shown('cache_active_locks')).toBe(1);
    await lock.release();
    expect(await shown('cache_active_locks')).toBe(0);
    expect(await shown(outcome('order:safe', 'acquired'))).toBe(1);
    expect(await shown(outcome('other', 'acquired'))).toBe(1);
    expect(await shown(outcome('other', 'conflict'))).toBe(1);
    expect(await shown('cache_lock_wait_seconds_count')).toBe(3);
    expect(await shown('cache_lock_hold_seconds_count')).toBe(2);
    expect(locks.getMetrics()).toMatchObject({ acquired: 2, conflicts: 1, held: 0 });
    expect(await register.metrics()).not.toContain('order:41');
  });
});
