import { Controller, Get, Injectable, Param } from '@nestjs/common';
import request from 'supertest';
import { ADMIN_CONSOLE, type AdminConsole } from '../../src/admin/admin.console.ts';
import { Cacheable, type CacheModuleOptions, CacheService } from '../../src/index.ts';
import { ADMIN_TOKEN, AdminClient, keyPath } from '../support/admin-client.ts';
import { openHttpApp } from '../support/http-app.ts';
import { shareServer } from '../support/shared-server.ts';

@Controller('products')
class ProductsController {
  @Get()
  @Cacheable({ ttl: '2m', scope: 'public' })
  find(): string[] {
    return ['teapot'];
  }

  @Get(':id')
  @Cacheable({ ttl: '2m', scope: 'public' })
  findOne(@Param('id') id: string): string {
    return id;
  }
}

@Injectable()
class UserService {
  @Cacheable({ ttl: '10s', grace: '90s', key: 'user:{0}' })
  async find(id: number): Promise<number> {
    return id;
  }

  @Cacheable('1h')
  async list(page: number): Promise<number> {
    return page;
  }

  @Cacheable({ name: 'profiles', ttl: '1d', key: 'profile:{0}' })
  async profile(id: number): Promise<number> {
    return id;
  }

  @Cacheable({ ttl: '90500ms', key: (id: number) => `odd:${id}` })
  async odd(id: number): Promise<number> {
    return id;
  }
}

const { server, open } = shareServer();

interface Meta {
  readonly key: string;
  readonly namespace: string;
}

describe.each(['memory', 'server'] as const)('what an operator sees of the cache in %s mode', (mode) => {
  const options = (): CacheModuleOptions =>
    mode === 'server' ? { redis: { url: server().url, commandTimeout: '5s' } } : {};

  async function start(rolloutPercent = 100) {
    const app = await openHttpApp({
      platform: 'express',
      cache: {
        ...options(),
        cache: { l1: { maxEntries: 1_234 }, rolloutPercent },
        admin: { enabled: true, token: ADMIN_TOKEN },
      },
      controllers: [ProductsController],
      providers: [UserService],
    });
    open.push(app);
    return { app, admin: new AdminClient(app), cache: app.get(CacheService), users: app.get(UserService) };
  }
  type Started = Awaited<ReturnType<typeof start>>;

  /** One key of each part of the cache, by the name of the part. */
  async function fill({ app, cache, users }: Started): Promise<Record<string, string>> {
    for (const path of ['/products', '/products/1'])
      expect((await request(app.getHttpServer()).get(path)).status).toBe(200);
    await Promise.all([users.find(1), users.list(1), users.profile(1), users.odd(1)]);
    await cache.namespace('shop').getOrSet('a', 60, () => 1);
    return {
      'ProductsController.find': 'http:1:ProductsController.find:get:127.0.0.1/products',
      'ProductsController.findOne': 'http:1:ProductsController.findOne:get:127.0.0.1/products/1',
      'UserService.find': 'user:1',
      'UserService.list': 'UserService.list:[1]',
      ...{ profiles: 'profile:1', default: 'odd:1', shop: 'shop:a' },
    };
  }
  const keysOf = async ({ admin }: Started, query = ''): Promise<Meta[]> =>
    (await admin.get(`/keys${query}`)).body['items'] as Meta[];
  const named = (metas: readonly Meta[]): string[] => metas.map(({ key }) => key).sort();

  it('names the part that each key belongs to, and lists and clears that part and nothing else', async () => {
    const started = await start();
    const parts = await fill(started);
    const seen = await keysOf(started);
    expect(Object.fromEntries(seen.map(({ namespace, key }) => [namespace, key]))).toEqual(parts);
    const left = new Set(Object.values(parts));
    for (const [name, key] of Object.entries(parts)) {
      expect(named(await keysOf(started, `?namespace=${name}`))).toEqual([key]);
      expect(named(await keysOf(started, `?namespace=${name}&match=none*`))).toEqual([]);
      const { body } = await started.admin.confirmed({ by: 'namespace', value: name });
      expect(body).toMatchObject({ matched: 1, affected: 1, sample: [key] });
      left.delete(key);
      expect(named(await keysOf(started))).toEqual([...left].sort());
    }
  });

  it('takes a key for one of the part whose name fits best', async () => {
    const started = await start();
    await started.cache.namespace('shop').getOrSet('a', 60, () => 1);
    await started.cache
      .namespace('shop')
      .namespace('cart')
      .getOrSet('b', 60, () => 1);
    expect(await keysOf(started, '?namespace=s*')).toEqual([]);
    const seen = await keysOf(started);
    expect(seen.map(({ key, namespace }) => [key, namespace]).sort()).toEqual([
      ['shop:a', 'shop'],
      ['shop:cart:b', 'shop:cart'],
    ]);
  });

  it('cannot tell keys from others that a function makes, and says so', async () => {
    const started = await start();
    const parts = await fill(started);
    const { status, body } = await started.admin.send('POST', '/invalidations', {
      ...{ by: 'namespace', value: 'UserService.odd' },
    });
    expect([status, body['errors']]).toEqual([422, [expect.stringContaining('a function makes these keys')]]);
    expect(await keysOf(started, '?namespace=UserService.odd')).toEqual([]);
    expect((await started.admin.confirmed({ by: 'namespace', value: 'never-used' })).body).toMatchObject({
      affected: 0,
    });
    expect(await keysOf(started)).toHaveLength(Object.keys(parts).length);
  });

  it('knows the parts of the cache by name, how long they live, and how much of them is here', async () => {
    const started = await start();
    await fill(started);
    await started.users.find(2);
    await started.users.find(2);
    const { body } = await started.admin.get('/namespaces?window=1h');
    const shown = (body['items'] as Record<string, unknown>[]).map((each) => [
      ...[each['name'], each['handler'], each['ttl'], each['grace'], each['entriesL1'], each['hitRatio']],
    ]);
    expect(shown).toEqual([
      ['ProductsController.find', 'ProductsController.find', '2m', '0ms', 1, 0],
      ['ProductsController.findOne', 'ProductsController.findOne', '2m', '0ms', 1, 0],
      ['profiles', 'UserService.profile', '1d', '0ms', 1, 0],
      ['shop', undefined, '5m', '0ms', 1, 0],
      ['UserService.find', 'UserService.find', '10s', '90s', 2, 1 / 3],
      ['UserService.list', 'UserService.list', '1h', '0ms', 1, 0],
      ['UserService.odd', 'UserService.odd', '90500ms', '0ms', 0, 0],
    ]);
    const { body: stats } = await started.admin.get('/stats?window=1h&group=namespace');
    expect(stats).toMatchObject({ hits: 1, misses: 8, errors: 0, loads: 8 });
    const groups = stats['groups'] as { name: string; hits: number; misses: number; bytes: null }[];
    expect(groups.find(({ name }) => name === 'UserService.find')).toMatchObject({ hits: 1, misses: 2, bytes: null });
    expect(groups.find(({ name }) => name === 'UserService.list')).toMatchObject({ hits: 0, misses: 1 });
  });

  it('counts reads that failed, and those that went past the cache', async () => {
    const { admin, cache } = await start();
    await cache.getOrSet('a', 60, () => Promise.reject(new Error('down'))).catch(() => undefined);
    expect((await admin.get('/stats')).body).toMatchObject({ errors: 1, hits: 0 });
    await cache.getOrSet('a', 60, () => 'x');
    const { tiers } = await cache.getStats();
    const off = await start(0);
    await off.cache.getOrSet('a', 60, () => 'x');
    expect((await off.admin.get('/stats')).body).toMatchObject({ bypass: 1, hits: 0 });
    expect(tiers.l1.bytes).toBeGreaterThan(0);
    expect((await admin.get('/stats')).body).toMatchObject({ bytes: tiers.l1.bytes });
  });

  it('says of a key what it is, until when, and where', async () => {
    const [one, other] = [await start(), await start()];
    const long = 'long:'.padEnd(300, 'x');
    await one.cache.set('text', 'x', { ttl: '1m', grace: '1h', tags: ['t'] });
    await one.cache.set(long, { a: 1 }, '1m');
    await one.cache.sadd('members', 'x');
    for (const key of ['text', long]) await one.cache.get(key);
    const here = mode === 'memory' ? ['l1'] : ['l1', 'l2'];
    const all = (await one.admin.get('/keys')).body;
    expect(all).toMatchObject({ scanned: expect.any(Number) as number, complete: true });
    expect(all['scanned']).toBeGreaterThanOrEqual(3);
    const items = all['items'] as (Meta & { ttlMs: number | null; bytes: number | null })[];
    const found = (start: string) => items.find(({ key }) => key.startsWith(start));
    expect(found('text')).toMatchObject({ type: 'value', tier: here, stale: false, tags: ['t'] });
    expect(found('text')?.ttlMs).toBeGreaterThan(3_600_000);
    expect(found('text')?.bytes).toBeGreaterThan(0);
    expect(found('members')).toMatchObject({ type: 'set', ttlMs: null, bytes: null, tags: [] });
    const hashed = found('long:')!.key;
    expect(hashed).toMatch(/#[0-9a-f]{64}$/);
    expect((await one.admin.get(keyPath(hashed))).body).toMatchObject({ key: hashed, tier: here });
    expect((await one.admin.get(keyPath(long))).body).toMatchObject({ key: hashed });
    const there = await other.admin.get(keyPath('text'));
    expect([there.status, there.body['tier']]).toEqual(mode === 'memory' ? [404, undefined] : [200, ['l2']]);
    expect((await one.admin.send('DELETE', keyPath(hashed))).status).toBe(204);
    expect(await one.cache.get(long)).toBeUndefined();
  });

  it('says what runs here, since when, and on what', async () => {
    const before = Date.now();
    const { admin, cache } = await start();
    await cache.getOrSet('a', 60, () => 1);
    const { body } = await admin.get('/status');
    expect(Math.abs((body['uptimeSeconds'] as number) - process.uptime())).toBeLessThan(5);
    expect(body).toMatchObject({ tiers: { l1: { entries: 1, maxEntries: 1_234 } }, journal: 0, reason: null });
    const since = Date.parse(body['since'] as string);
    expect(since).toBeLessThanOrEqual(Date.now());
    if (mode === 'memory') return;
    expect(since).toBeGreaterThanOrEqual(before);
    const [, version] = /redis_version:(\S+)/.exec(await server().ask('INFO', 'server')) ?? [];
    expect(body['redis']).toMatchObject({ version, latencyMs: expect.any(Number) as number });
  });

  it('removes or spoils so many keys and no more', async () => {
    const started = await start();
    const { admin, cache } = started;
    await cache.setMany(
      Array.from({ length: 30 }, (_, id) => [`n:${id}`, 1] as const),
      { ttl: '1m', grace: '1h' },
    );
    const order = { by: 'pattern', value: 'n:*', maxKeys: 25 };
    const dry = await admin.send('POST', '/invalidations', order);
    expect(dry.body).toMatchObject({ matched: 25, truncated: true });
    expect(dry.body['sample']).toHaveLength(20);
    const spoilt = await admin.confirmed({ ...order, maxKeys: 3, mode: 'expire' });
    expect(spoilt.body).toMatchObject({ affected: 3 });
    const metas = (await keysOf(started, '?limit=1000')) as (Meta & { stale: boolean })[];
    expect(metas.filter(({ stale }) => stale)).toHaveLength(3);
    expect((await admin.confirmed(order)).body).toMatchObject({ affected: 25, truncated: true });
    expect(await keysOf(started)).toHaveLength(5);
    expect((await admin.confirmed({ by: 'all', mode: 'expire', reason: 'because' })).body).toMatchObject({
      affected: 5,
    });
    expect(await keysOf(started)).toHaveLength(5);
  });

  it('stops in the middle when it is told to, and says how far it has come', async () => {
    const { app, cache } = await start();
    for (let part = 0; part < 3; part++) {
      await cache.setMany(Array.from({ length: 500 }, (_, id) => [`n:${part}:${id}`, 1] as const));
    }
    const { invalidations } = app.get<AdminConsole>(ADMIN_CONSOLE);
    const order = { by: 'pattern', values: ['n:*'], mode: 'delete', maxKeys: 10_000 } as const;
    const told = { scanned: 0, affected: 0 };
    const affected = await invalidations.run(order, await invalidations.preview(order), {
      scanned: (count) => (told.scanned += count),
      affected: (count) => (told.affected += count),
      isCancelled: () => told.affected >= 500,
    });
    expect(affected).toBeGreaterThanOrEqual(500);
    expect(affected).toBeLessThan(1_500);
    expect(told).toEqual({ scanned: affected, affected });
  });

  it('invalidates a page with its queries and variants, and no other page', async () => {
    const started = await start();
    const http = request(started.app.getHttpServer());
    for (const path of ['/products', '/products?page=2', '/products/1', '/products/11']) await http.get(path);
    const { body } = await started.admin.send('POST', '/invalidations', { by: 'path', value: '/products' });
    expect(body).toMatchObject({ dryRun: false, matched: 2, affected: 2 });
    const left = named(await keysOf(started)).map((key) => key.split('127.0.0.1')[1]);
    expect(left).toEqual(['/products/1', '/products/11']);
    expect(
      (await started.admin.send('POST', '/invalidations', { by: 'path', value: '/products/1' })).body,
    ).toMatchObject({
      ...{ matched: 1, sample: [expect.stringMatching(/\/1$/) as string] },
    });
    const twice = { by: 'keys', value: ['x', 'x', 'y'] };
    await started.cache.setMany([['x', 1], ['y', 1]]); // prettier-ignore
    expect((await started.admin.send('POST', '/invalidations', twice)).body).toMatchObject({ matched: 2, affected: 2 });
  });
});
