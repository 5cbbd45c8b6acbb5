import { Controller, Get, type INestApplication } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { App } from 'supertest/types.js';
import { openApiDocument } from '../../src/admin/openapi.ts';
import { Cacheable, CacheHealthIndicator, CacheService, LockService, RateLimitService } from '../../src/index.ts';
import type { AdminOptions, CacheModuleOptions } from '../../src/index.ts';
import { ADMIN_TOKEN, AdminClient, keyPath } from '../support/admin-client.ts';
import { walkTheAdminApi } from '../support/admin-walk.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { openHttpApp } from '../support/http-app.ts';
import { monitored } from '../support/monitored.ts';
import { ask, startCluster, startSentinels, startStandalone, type TestServers } from '../support/servers.ts';

const PATIENT = { commandTimeout: '5s', bootBudget: '15s' } as const;
/** What others keep on the same server, some of it under names that look like ours. */
const FOREIGN = ['app', 'app:v2:a', 'app:v1', 'other:v1:a', 'xapp:v1:a', 'app:v1@lock', 'a', '*', 'APP:v1:a'];
const READING =
  'evalsha eval script type pttl getrange strlen scan get mget exists xrevrange ping info dbsize pubsub publish echo time client cluster';
const LOOKS = ['/status', '/stats', '/namespaces', '/keys', '/locks', '/limits', '/breakers', '/audit'];
const reading = new Set(READING.split(' '));

/** Where responses are cached, a request that is not safe invalidates those of its path; of the admin API none does. */
@Controller('products')
class CachedController {
  @Get()
  @Cacheable({ ttl: '1m', scope: 'public' })
  all(): string {
    return 'teapot';
  }
}

describe.each([
  ['one server', 1, startStandalone, ({ url }: TestServers): CacheModuleOptions => ({ redis: { url, ...PATIENT } })],
  [
    'a cluster of three primaries with replicas',
    3,
    startCluster,
    ({ ports }: TestServers): CacheModuleOptions => ({
      redis: { cluster: { nodes: ports.map((port) => ({ host: HOST, port })) }, ...PATIENT },
    }),
  ],
])('the admin API on %s', (_, primaryCount, startServers, optionsOf) => {
  let servers: TestServers;
  const open: INestApplication<App>[] = [];
  const primaries = () => servers.ports.slice(0, primaryCount);
  const sumOf = async (command: readonly string[], figure: RegExp): Promise<number> => {
    const answers = await Promise.all(primaries().map((port) => ask(port, ...command)));
    return answers.reduce((sum, answer) => sum + Number(figure.exec(answer)?.[1]), 0);
  };

  beforeAll(async () => {
    servers = await startServers();
  }, 30_000);
  afterEach(async () => {
    await Promise.all(open.splice(0).map((app) => app.close()));
    await Promise.all(primaries().map((port) => ask(port, 'FLUSHALL')));
  });
  afterAll(() => servers.stop());

  async function start(admin: AdminOptions = {}) {
    const policies = { otp: { name: 'otp', limit: 5, window: '1h' } } as const;
    const app = await openHttpApp({
      platform: 'express',
      controllers: [CachedController],
      cache: { ...optionsOf(servers), rateLimit: { policies }, admin: { enabled: true, token: ADMIN_TOKEN, ...admin } },
      configure: (each) => void (each as NestExpressApplication).set('trust proxy', true),
    });
    open.push(app);
    return { app, admin: new AdminClient(app), cache: app.get(CacheService) };
  }
  const fill = (cache: CacheService, count: number) =>
    cache.setMany(Array.from({ length: count }, (_, id) => [`k:${id}`, 'x'.repeat(100)] as const));

  it('counts keys and bytes of all primaries', async () => {
    const { admin, cache } = await start();
    await fill(cache, 300);
    const { tiers } = await cache.getStats();
    expect(tiers.l2?.keys).toBe(await sumOf(['DBSIZE'], /:(\d+)/));
    const bytes = await sumOf(['INFO', 'memory'], /used_memory:(\d+)/);
    expect(Math.abs((tiers.l2?.bytes ?? 0) - bytes)).toBeLessThan(bytes / 5);
    expect((await admin.get('/status')).body).toMatchObject({ tiers: { l2: { entries: tiers.l2?.keys } } });
  });

  it('lists every key, page by page', async () => {
    const { admin, cache } = await start();
    await fill(cache, 300);
    const seen: unknown[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const { body } = await admin.get(`/keys?match=k:*&limit=70${cursor && `&cursor=${cursor}`}`);
      seen.push(...(body['items'] as { key: string }[]).map(({ key }) => key));
      cursor = body['nextCursor'] as string | null;
    }
    expect(new Set(seen).size).toBe(300);
  });

  it('has keys of all primaries gone in all instances before it answers', async () => {
    const [one, other] = [await start(), await start()];
    const shop = one.cache.namespace('shop');
    const acts = [
      [{ by: 'pattern', value: 'k:*' }, 60],
      [{ by: 'tag', value: 'tag' }, 20],
      [{ by: 'namespace', value: 'shop' }, 20],
    ] as const;
    const keys = Array.from({ length: 60 }, (_, id) => `k:${id}`);
    await fill(one.cache, 60);
    for (let id = 0; id < 20; id++) {
      await one.cache.set(`t:${id}`, 1, { tags: ['tag'] });
      await shop.set(`s:${id}`, 1);
    }
    await other.cache.getMany(keys);
    for (const [body, affected] of acts) {
      expect((await one.admin.confirmed(body)).body).toMatchObject({ dryRun: false, affected, l1: 'dropped' });
    }
    expect((await other.cache.getMany(keys)).filter((value) => value !== undefined)).toEqual([]);
    expect((await other.admin.get('/keys?match=*')).body['items']).toEqual([]);
  });

  it('clears locks on all primaries', async () => {
    const { app, admin } = await start();
    const locks = app.get(LockService);
    const names = Array.from({ length: 30 }, (_, id) => `order:${id}`);
    await Promise.all(names.map((name) => locks.acquire(name)));
    const cleared = await admin.send('POST', '/locks:clear', { pattern: 'order:*', reason: 'stuck' });
    expect(cleared.body).toEqual({ cleared: 30 });
    expect(await Promise.all(names.map((name) => locks.isHeld(name)))).toEqual(Array(30).fill(false));
  });

  it('leaves the keys of others alone, whatever any operation is asked for', async () => {
    const { app, admin, cache } = await start({ values: 'full' });
    const clients = app.get(CacheService).getClient()!;
    for (const key of FOREIGN) await clients.set(key, 'mine');
    await fill(cache, 50);
    await app.get(LockService).acquire('order:1');
    await app.get(RateLimitService).consume('otp', 'ann');
    const seen = await walkTheAdminApi(admin);
    const short = new AdminClient(app, ADMIN_TOKEN, '/cache');
    await short.send('DELETE', '/keys?pattern=*&confirm=true');
    await short.send('POST', '/clear-locks', { confirm: true });
    const left = await Promise.all(FOREIGN.map(async (key) => [key, await clients.get(key)]));
    expect(left).toEqual(FOREIGN.map((key) => [key, 'mine']));
    expect(await cache.has('k:1')).toBe(false);
    expect(await app.get(LockService).isHeld('order:1')).toBe(false);
    // All but the stream were asked, and those that can reach far have done so.
    const { paths } = openApiDocument() as { paths: Record<string, object> };
    const operations = Object.values(paths).flatMap((methods) => Object.keys(methods));
    expect(seen.size).toBe(operations.length - 1);
    expect(seen.get('POST /invalidations')).toContain(200);
    expect(seen.get('POST /locks:clear')).toContain(200);
  }, 60_000);

  it('writes nothing for a look or a dry run', async () => {
    const { admin, cache } = await start({ values: 'full' });
    await fill(cache, 50);
    await cache.sadd('k:set', 'x');
    await admin.get('/status');
    const commands = await monitored(primaries(), async () => {
      for (const path of [...LOOKS, keyPath('k:1'), `${keyPath('k:1')}/value`]) {
        expect((await admin.get(path)).status).toBe(200);
      }
      for (const by of ['pattern', 'namespace', 'tag', 'path', 'key']) {
        const { body } = await admin.send('POST', '/invalidations', { by, value: 'k', dryRun: true });
        expect(body).toMatchObject({ dryRun: true, affected: 0 });
      }
      await admin.send('POST', '/invalidations', { by: 'all', dryRun: true, reason: 'because' });
    });
    expect([...new Set(commands)].filter((command) => !reading.has(command))).toEqual([]);
    const records = (await admin.get('/audit')).body['items'] as { dryRun: boolean }[];
    expect(records.map(({ dryRun }) => dryRun)).toEqual(Array(6).fill(true));
    expect(await cache.has('k:1')).toBe(true);
  });

  it('F56 says since when a primary is away, and goes on with the others', async () => {
    const { app, admin, cache } = await start();
    await fill(cache, 60);
    const before = Date.now();
    await servers.kill(0);
    const health = app.get(CacheHealthIndicator);
    await eventually(() =>
      expect(health.check().cache).toMatchObject({ mode: 'degraded', reason: expect.any(String) as string }),
    );
    expect(Date.parse(health.check().cache.since!)).toBeGreaterThanOrEqual(before);
    const { status, body } = await admin.get('/status');
    expect(status).toBe(200);
    const l2 = (body['tiers'] as { l2: { entries: number } | null }).l2;
    expect(l2 === null ? 0 : l2.entries).toBeLessThan(primaryCount === 1 ? 1 : 60);
    await admin.send('POST', '/invalidations', { by: 'key', value: 'k:1' });
    expect(await cache.get('k:1')).toBeUndefined();
    await servers.restart(0);
    await eventually(() => expect(health.check().cache).toMatchObject({ status: 'up', mode: 'server' }), {
      withinMs: 15_000,
    });
  }, 40_000);
});

it('says that the server is behind sentinels', async () => {
  const servers = await startSentinels();
  const sentinels = servers.ports.slice(2).map((port) => ({ host: HOST, port }));
  const redis = { sentinels, sentinelName: 'main', ...PATIENT };
  const app = await openHttpApp({
    platform: 'express',
    cache: { redis, admin: { enabled: true, token: ADMIN_TOKEN } },
  });
  try {
    const { body } = await new AdminClient(app).get('/status');
    expect(body).toMatchObject({ mode: 'redis', redis: { topology: 'sentinel', state: 'healthy' } });
  } finally {
    await app.close();
    await servers.stop();
  }
});
