import 'reflect-metadata';
import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  Logger,
  type NestInterceptor,
  Param,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import { map, type Observable, tap } from 'rxjs';
import { Cacheable, type CacheModuleOptions } from '../../src/index.ts';
import { CacheEngine } from '../../src/cache/cache-engine.ts';
import { Telemetry } from '../../src/common/telemetry.ts';
import { ADMIN_TOKEN, AdminClient } from '../support/admin-client.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';

interface Reply {
  header(name: string, value: string): Reply;
}

describe.each(PLATFORMS)('operating the response cache on %s', (platform) => {
  const seen: string[] = [];

  @Injectable()
  class Audit implements NestInterceptor {
    intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
      seen.push('before');
      return next.handle().pipe(tap((value) => seen.push(`after ${JSON.stringify(value)}`)));
    }
  }
  @Injectable()
  class Envelope implements NestInterceptor {
    intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
      return next.handle().pipe(map((data: unknown) => (data === undefined ? data : { data })));
    }
  }

  @Controller()
  class Pages {
    runs = 0;

    @Cacheable('1m')
    @Get('header/:name/:value')
    header(
      @Param('name') name: string,
      @Param('value') value: string,
      @Res({ passthrough: true }) reply: Reply,
    ): object {
      reply.header(name, decodeURIComponent(value));
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1m', name: 'named pages' })
    @Get('named/:id')
    named(): object {
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1m', position: 'bound' })
    @UseInterceptors(Audit, Envelope)
    @Get('bound')
    bound(): object {
      return { run: ++this.runs };
    }

    @Cacheable('1m')
    @UseInterceptors(Audit)
    @Get('front')
    front(): object {
      return { run: ++this.runs };
    }
  }

  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  let warn: jest.SpyInstance;
  const open = async (cache: CacheModuleOptions = {}): Promise<void> => {
    app = await openHttpApp({ platform, controllers: [Pages], cache });
    client = await HttpClient.of(app);
  };
  beforeEach(() => {
    seen.length = 0;
    warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  });
  afterEach(async () => {
    client.close();
    await app.close();
    warn.mockRestore();
  });
  const statusOf = ({ headers }: HttpReply) => String(headers['cache-status']);

  it('counts responses that were not stored by their reason (HTTP-08)', async () => {
    await open();
    for (const path of ['set-cookie/a=1', 'set-cookie/b=2', 'vary/*', 'cache-control/private', 'x-any/stored']) {
      await client.get(`/header/${path}`);
    }
    const counted = [...app.get(Telemetry).notStored].map(([reason, { n }]) => [reason, n]);
    expect(Object.fromEntries(counted)).toEqual({ 'set-cookie': 2, vary: 1, private: 1 });
  });

  it('counts reads by the route: its handler, or the name that it was given', async () => {
    await open();
    for (let round = 0; round < 3; round++) await client.get('/named/1');
    await client.get('/front');
    await client.get('/front', { authorization: 'a' });
    const { caches } = app.get(CacheEngine).metrics;
    expect(caches.get('named pages')).toMatchObject({ misses: 1, memoryHits: 2, loads: 1 });
    expect(caches.get('Pages.front')).toMatchObject({ misses: 2, memoryHits: 0, bypassed: 1 });
    expect(caches.get('http')).toBeUndefined();
  });

  it('stands behind the interceptors of a route that wants it so: they see hits, too (HTTP-34)', async () => {
    await open();
    const replies = [await client.get('/bound'), await client.get('/bound')];
    expect(replies.map(({ headers }) => headers['x-cache'])).toEqual(['MISS', 'HIT']);
    expect(replies.map(({ text }) => text)).toEqual(Array(2).fill('{"data":{"run":1}}'));
    expect(seen).toEqual(['before', 'after {"data":{"run":1}}', 'before', 'after undefined']);
    seen.length = 0;
    for (let round = 0; round < 2; round++) await client.get('/front');
    expect(seen).toEqual(['before', 'after {"run":2}']);
  });

  it('warns once of a nonce that it would answer everybody with (HTTP-31)', async () => {
    await open();
    const policy = encodeURIComponent("script-src 'nonce-abc'");
    for (const path of ['a', 'b']) await client.get(`/header/content-security-policy/${policy}?${path}`);
    const warnings = warn.mock.calls.map(([message]) => String(message)).filter((text) => text.includes('nonce'));
    expect(warnings).toEqual([expect.stringMatching(/^Pages\.header: /)]);
  });

  it('tells keys only to those who may see them (HTTP-20)', async () => {
    await open({
      http: {
        headers: {
          key: (context) => 'x-operator' in context.switchToHttp().getRequest<{ headers: object }>().headers,
        },
      },
    });
    await client.get('/front');
    expect(statusOf(await client.get('/front'))).not.toContain('key=');
    const told = await client.get('/front', { 'x-operator': '1' });
    expect(statusOf(told)).toMatch(/^"nestjs-keep";hit;ttl=\d+;key="http:1:Pages\.front:get:127\.0\.0\.1\/front"$/);
    const missed = await client.get('/named/5', { 'x-operator': '1' });
    expect(statusOf(missed)).toBe('"nestjs-keep";fwd=uri-miss;stored;key="http:1:Pages.named:get:127.0.0.1/named/5"');
  });

  it.each(['delete', 'expire'])(
    'forgets a path for the operator, all its queries and no other one: %s',
    async (mode) => {
      await open({ admin: { enabled: true, token: ADMIN_TOKEN } });
      const paths = ['/named/1?a=1', '/named/1', '/named/1?b=2', '/named/10', '/named/2'];
      for (const path of paths) await client.get(path);
      const admin = new AdminClient(app);
      const { status, body } = await admin.send('POST', '/invalidations', { by: 'path', value: '/named/%31', mode });
      expect([status, body['affected']]).toEqual([200, 3]);
      const kinds: unknown[] = [];
      for (const path of paths) kinds.push((await client.get(path)).headers['x-cache']);
      expect(kinds).toEqual(['MISS', 'MISS', 'MISS', 'HIT', 'HIT']);
    },
  );

  it.each(['delete', 'expire'])('forgets everything for the operator: %s', async (mode) => {
    await open({ admin: { enabled: true, token: ADMIN_TOKEN } });
    const paths = ['/named/1', '/front'];
    for (const path of paths) await client.get(path);
    const { status } = await new AdminClient(app).confirmed({ by: 'all', mode, reason: 'new release' });
    expect(status).toBe(200);
    for (const path of paths) expect((await client.get(path)).headers['x-cache']).toBe('MISS');
  });

  it('caches the share of keys that is rolled out, always the same ones', async () => {
    await open({ cache: { rolloutPercent: 50 } });
    const kindOf = async (id: number) => String((await client.get(`/named/${id}`)).headers['x-cache']);
    const ids = Array.from({ length: 40 }, (_, id) => id);
    const first: string[] = [];
    for (const id of ids) first.push(await kindOf(id));
    expect(new Set(first)).toEqual(new Set(['MISS', 'BYPASS']));
    for (const id of ids) expect(await kindOf(id)).toBe(first[id] === 'MISS' ? 'HIT' : 'BYPASS');
  });
});
