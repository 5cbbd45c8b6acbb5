import 'reflect-metadata';
import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  Header,
  HttpException,
  Logger,
  type NestInterceptor,
  Post,
  Redirect,
  Req,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Observable } from 'rxjs';
import { Cacheable, CacheService, type CacheModuleOptions } from '../../src/index.ts';
import { gatedFactory } from '../support/gate.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';

interface Reply {
  status(code: number): Reply;
  header(name: string, value: string): Reply;
  send(body: unknown): Reply;
}

interface Asked {
  readonly headers: Readonly<Record<string, string | undefined>>;
  user?: { readonly id: string };
}

const requestOf = (context: ExecutionContext) => context.switchToHttp().getRequest<Asked>();

/** Finds out who asks when guards, and the lookup in the cache, are behind it. */
class LateUser implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = requestOf(context);
    const id = request.headers['x-api-key'];
    if (id !== undefined) request.user = { id };
    return next.handle();
  }
}

describe.each(PLATFORMS)('what a cached route answers without storing it, on %s', (platform) => {
  @Controller()
  class Pages {
    runs = 0;
    stored = 0;
    failure: number | undefined;
    cookie = false;
    changing = gatedFactory(() => undefined);

    @Cacheable({ ttl: '1m', scope: (context) => requestOf(context).headers['x-tenant'] ?? '', browser: '30s' })
    @Get('tenant')
    tenant(@Res({ passthrough: true }) reply: Reply): object {
      if (this.cookie) reply.header('set-cookie', 'a=1');
      if (this.failure !== undefined) throw new HttpException('no', this.failure);
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1ms', grace: '1h' })
    @Get('grace')
    grace(): object {
      if (this.failure !== undefined) throw new HttpException('no', this.failure);
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1ms', jitter: 0, grace: '1h' })
    @Get('floor')
    floor(): object {
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1m', tags: ['pages'] })
    @Header('cache-control', 'max-age=60, must-revalidate')
    @Get('strict')
    strict(): object {
      this.runs++;
      if (this.failure !== undefined) throw new HttpException('no', this.failure);
      return {};
    }

    @Cacheable({ ttl: '1m', tags: ['pages'], staleWhileRevalidate: '1h' })
    @Header('cache-tag', 'told')
    @Get('tagged')
    tagged(): object {
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1ms', jitter: 0, staleWhileRevalidate: '1h', grace: '0ms' })
    @Get('ungraced')
    ungraced(): object {
      if (this.failure !== undefined) throw new HttpException('no', this.failure);
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1m', scope: 'user' })
    @Get('mine')
    mine(): object {
      return { run: ++this.runs };
    }

    @Cacheable('1m')
    @Get('large')
    large(): string {
      return 'x'.repeat(64 * 1024 - 50);
    }

    @Cacheable('1m')
    @UseInterceptors(LateUser)
    @Get('late')
    late(@Req() request: Asked): object {
      return { user: request.user?.id ?? null };
    }

    @Cacheable('1m')
    @Get('list')
    list(): object {
      return { stored: this.stored };
    }

    @Post('add')
    @Redirect('/list', 303)
    add(): void {
      this.stored++;
    }

    @Post('list')
    addByHand(@Res() reply: Reply): void {
      void this.changing().then(() => {
        this.stored++;
        reply.status(201).send({ stored: this.stored });
      });
    }
  }

  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  let pages: Pages;
  let error: jest.SpyInstance;
  const open = async (cache: CacheModuleOptions = {}): Promise<void> => {
    app = await openHttpApp({ platform, controllers: [Pages], cache });
    client = await HttpClient.of(app);
    pages = app.get(Pages);
  };
  beforeEach(() => {
    error = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
  });
  afterEach(async () => {
    client.close();
    await app.close();
    error.mockRestore();
  });
  const statusOf = ({ headers }: HttpReply) => String(headers['cache-status']);

  it('is for its user alone, and says so to caches further down (HTTP-10)', async () => {
    await open();
    const tenant = { 'x-tenant': 'a' };
    pages.cookie = true;
    const replies = [
      await client.get('/tenant', tenant),
      await client.get('/tenant', { ...tenant, 'cache-control': 'no-store' }),
      await client.get('/tenant', { ...tenant, range: 'bytes=0-1' }),
      await client.call('/tenant', { method: 'HEAD', headers: tenant }),
    ];
    pages.failure = 404;
    replies.push(await client.get('/tenant', tenant));
    expect(replies.map(({ headers }) => headers['cache-control'])).toEqual(Array(5).fill('private, no-cache'));
    expect(replies.map(statusOf).filter((status) => /;stored$|;hit;/.test(status))).toEqual([]);
  });

  it('names no tags, whoever asks for it in whatever way (HTTP-27)', async () => {
    await open();
    const { headers } = await client.get('/tagged');
    const replies = [
      await client.get('/tagged'),
      await client.get('/tagged', { authorization: 'a' }),
      await client.get('/tagged', { 'cache-control': 'no-store' }),
      await client.call('/tagged?miss', { method: 'HEAD' }),
      await client.get('/tagged?conditional', { 'if-none-match': '*' }),
    ];
    await app.get(CacheService).expireByTag('pages');
    replies.push(await client.get('/tagged'));
    expect(replies.map(({ headers }) => headers['cache-tag'])).toEqual(Array(6).fill(undefined));
    expect(headers['cache-tag']).toBeUndefined();
    expect(replies.map(({ headers }) => headers['x-cache'])).toEqual([
      ...['HIT', 'BYPASS', 'MISS', 'MISS', 'MISS'],
      'STALE',
    ]);
  });

  it('keeps its tags when it is made anew behind the back of the client (HTTP-27)', async () => {
    await open();
    const runOf = async () => (JSON.parse((await client.get('/tagged')).text) as { run: number }).run;
    expect(await runOf()).toBe(1);
    for (const run of [2, 3]) {
      await app.get(CacheService).expireByTag('told');
      await runOf();
      await sleep(50);
      expect(await runOf()).toBe(run);
    }
  });

  it('is what a user gets whom nobody knew when it was looked up (B35)', async () => {
    await open();
    const userOf = (reply: HttpReply) => JSON.parse(reply.text) as object;
    const ada = await client.get('/late', { 'x-api-key': 'ada' });
    expect(statusOf(ada)).toBe('"nestjs-keep";fwd=uri-miss;stored=?0;detail=user');
    expect(userOf(await client.get('/late', { 'x-api-key': 'bob' }))).toEqual({ user: 'bob' });
    expect(userOf(await client.get('/late'))).toEqual({ user: null });
    const both = await Promise.all(['ada', 'bob'].map((id) => client.get('/late?both', { 'x-api-key': id })));
    expect(both.map(userOf)).toEqual([{ user: 'ada' }, { user: 'bob' }]);
  });

  it('is hidden from HEAD, too, when the handler fails and something stale is there (HTTP-17)', async () => {
    await open();
    await client.get('/grace');
    pages.failure = 503;
    const stale = await client.call('/grace', { method: 'HEAD' });
    expect([stale.status, stale.headers['content-length'], stale.text]).toEqual([200, '9', '']);
    expect(statusOf(stale)).toBe('"nestjs-keep";fwd=stale;fwd-status=503;detail=stale-if-error');
    pages.failure = undefined;
    const fresh = await client.call('/grace', { method: 'HEAD' });
    expect([fresh.status, statusOf(fresh)]).toEqual([200, '"nestjs-keep";fwd=stale;stored=?0']);
    pages.failure = 404;
    expect((await client.call('/grace', { method: 'HEAD' })).status).toBe(404);
  });

  it('is not something stale for a client that asks for something new (HTTP-13)', async () => {
    await open();
    await client.get('/floor');
    await sleep(20);
    const reply = await client.get('/floor', { 'cache-control': 'no-cache' });
    expect([reply.text, statusOf(reply)]).toEqual(['{"run":2}', '"nestjs-keep";fwd=stale;stored']);
  });

  it('is a failure for a client that asks for something new, where nothing stale may hide it (HTTP-13, HTTP-17)', async () => {
    await open({ http: { reloadFloor: '0ms' } });
    await client.get('/ungraced');
    await sleep(20);
    pages.failure = 503;
    const reload = { 'cache-control': 'no-cache' };
    expect((await client.get('/ungraced', reload)).status).toBe(503);
    expect((await client.get('/ungraced')).headers['x-cache']).toBe('STALE');
  });

  it.each([
    ['no number', () => Number.NaN],
    ['no name', () => ''],
    ['nobody', () => null],
  ])('is for nobody where the principal is %s (HTTP-10)', async (_, principal) => {
    await open({ http: { principal } });
    for (const run of [1, 2]) {
      const reply = await client.get('/mine');
      expect([reply.text, statusOf(reply)]).toEqual([`{"run":${run}}`, '"nestjs-keep";fwd=bypass;detail=user']);
    }
  });

  it('is too large where no value of its size is stored, its headers included (HTTP-08)', async () => {
    await open({ cache: { maxValueBytes: '64kb' } });
    expect(statusOf(await client.get('/large'))).toBe('"nestjs-keep";fwd=uri-miss;stored=?0;detail=too-large');
  });

  it('is asked for once per floor, also where it cannot take the place of what is stored (HTTP-13, B37)', async () => {
    await open({ http: { reloadFloor: '500ms' } });
    const reload = { 'cache-control': 'no-cache' };
    await client.get('/strict');
    await sleep(550);
    pages.failure = 404;
    const replies = [await client.get('/strict', reload)];
    for (let round = 0; round < 5; round++) replies.push(await client.get('/strict', reload));
    expect(replies.map(({ status }) => status)).toEqual([404, 200, 200, 200, 200, 200]);
    expect(pages.runs).toBe(2);
  });

  it('is a failure where the response that is stale forbids to hide it, whatever the client says (HTTP-15)', async () => {
    await open();
    await client.get('/strict');
    await app.get(CacheService).expireByTag('pages');
    pages.failure = 503;
    expect((await client.get('/strict', { 'cache-control': 'stale-if-error=600' })).status).toBe(503);
    expect((await client.get('/strict', { 'cache-control': 'max-stale' })).status).toBe(503);
  });

  it('is stored where clients have no say in it, whatever they say (HTTP-13)', async () => {
    await open({ http: { requestDirectives: 'ignore' } });
    const reply = await client.get('/list', { 'cache-control': 'no-store, no-cache, only-if-cached' });
    expect(statusOf(reply)).toBe('"nestjs-keep";fwd=uri-miss;stored');
    expect((await client.get('/list', { 'cache-control': 'no-store' })).headers['x-cache']).toBe('HIT');
  });

  it('makes what it points to out of date, when it redirects, too (HTTP-26)', async () => {
    await open();
    await client.get('/list');
    const reply = await client.call('/add', { method: 'POST' });
    expect([reply.status, reply.headers.location]).toEqual([303, '/list']);
    expect((await client.get('/list')).text).toBe('{"stored":1}');
  });

  it('makes its path out of date when it is there, not when the handler has returned (HTTP-26)', async () => {
    await open();
    const post = client.call('/list', { method: 'POST' });
    await sleep(50);
    expect((await client.get('/list')).text).toBe('{"stored":0}');
    pages.changing.open();
    expect((await post).status).toBe(201);
    expect((await client.get('/list')).text).toBe('{"stored":1}');
  });

  it('makes its path out of date although nobody waits for it any more (HTTP-26)', async () => {
    await open();
    await client.get('/list');
    await expect(client.call('/list', { method: 'POST', timeoutMs: 50 })).rejects.toThrow('no answer');
    pages.changing.open();
    await sleep(50);
    expect((await client.get('/list')).text).toBe('{"stored":1}');
  });
});
