import { Controller, Get, type INestApplication } from '@nestjs/common';
import { HealthCheck, HealthCheckService, HealthIndicatorService, TerminusModule } from '@nestjs/terminus';
import request from 'supertest';
import type { App } from 'supertest/types.js';
import {
  CacheHealthIndicator,
  CacheService,
  CircuitBreakerService,
  LockService,
  RateLimitService,
  type CacheModuleOptions,
} from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { startStandalone } from '../support/servers.ts';

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly cache: CacheHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  readiness() {
    return this.health.check([() => this.cache.check()]);
  }

  @Get('strict')
  @HealthCheck()
  strict() {
    return this.health.check([() => this.cache.isHealthy('keep', { onOutage: 'down', onOpenBreaker: 'up' })]);
  }
}

const open: INestApplication<App>[] = [];
afterEach(() => Promise.all(open.splice(0).map((app) => app.close())));

async function start(platform: (typeof PLATFORMS)[number], cache?: CacheModuleOptions): Promise<INestApplication<App>> {
  const imports = [TerminusModule.forRoot({ logger: false })];
  const app = await openHttpApp({ platform, imports, controllers: [HealthController], ...(cache && { cache }) });
  open.push(app);
  return app;
}
async function ask(app: INestApplication<App>, path = '/health'): Promise<Answer> {
  return request(app.getHttpServer()).get(path);
}
interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly text: string;
}

// Terminus before 12.1 has no `degraded`: there it is `up`, with the same details.
const knowsDegraded = 'degraded' in new HealthIndicatorService().check('cache');
const DEGRADED = knowsDegraded ? { status: 'degraded' } : { status: 'up', degraded: true };

describe.each(PLATFORMS)('health on %s', (platform) => {
  it('is up with nothing but the module', async () => {
    const { status, body } = await ask(await start(platform));
    expect([status, body]).toMatchObject([
      200,
      { status: 'ok', details: { cache: { status: 'up', mode: 'memory', journal: 0, openBreakers: [] } } },
    ]);
  });

  it('is degraded with an open breaker, says which and since when, and is up again when it is closed', async () => {
    const app = await start(platform);
    const circuits = app.get(CircuitBreakerService);
    await circuits.execute('orders\u001b[31m', () => Promise.resolve(1));
    const before = Date.now();
    circuits.isolate('orders\u001b[31m');
    const { status, body } = await ask(app);
    const { cache } = (body as { details: { cache: { since: string } } }).details;
    expect(status).toBe(200);
    expect(cache).toMatchObject({ ...DEGRADED, reason: 'open breakers: orders?[31m', openBreakers: ['orders?[31m'] });
    expect(Date.parse(cache.since)).toBeGreaterThanOrEqual(before);
    expect((await ask(app, '/health/strict')).body).toMatchObject({ details: { keep: { status: 'up' } } });
    circuits.close('orders\u001b[31m');
    expect((await ask(app)).body).toMatchObject({ status: 'ok' });
  });
});

it('F56 says that the server is away, why and since when: 200, or 503 where that is wanted', async () => {
  const server = await startStandalone(['--requirepass', 'hunter2-secret']);
  const url = `redis://:hunter2-secret@127.0.0.1:${server.port}`;
  const app = await start('express', { redis: { url, commandTimeout: '5s' } });
  try {
    expect((await ask(app, '/health/strict')).status).toBe(200);
    const before = Date.now();
    await server.kill();
    await app.get(CacheService).get('a');
    await eventually(async () => expect((await ask(app)).body).toMatchObject({ details: { cache: DEGRADED } }));
    const { status, body, text } = await ask(app);
    const { cache } = (body as { details: { cache: { since: string; reason: string } } }).details;
    expect(status).toBe(200);
    expect(cache.reason).toMatch(/^the server cannot be used: \S/);
    expect(Date.parse(cache.since)).toBeGreaterThanOrEqual(before);
    expect(text).not.toContain('hunter2');
    expect(cache).not.toHaveProperty('decidedHere');
    await app.get(RateLimitService).consume({ name: 'page', limit: 5, window: '1m' }, 'ann');
    await app.get(LockService).acquire('order', { onOutage: 'local' });
    expect((await ask(app)).body).toMatchObject({ details: { cache: { decidedHere: { rateLimits: 1, locks: 1 } } } });
    const strict = await ask(app, '/health/strict');
    expect(strict.status).toBe(503);
    expect(strict.body).toMatchObject({ error: { keep: { status: 'down', mode: 'degraded' } } });
  } finally {
    await server.stop();
  }
});

it('can be configured for the whole module', async () => {
  const app = await start('express', { health: { onOpenBreaker: 'down' } });
  const circuits = app.get(CircuitBreakerService);
  await circuits.execute('orders', () => Promise.resolve(1));
  circuits.isolate('orders');
  expect((await ask(app)).status).toBe(503);
});
