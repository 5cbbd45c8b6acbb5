import 'reflect-metadata';
import {
  All,
  type CallHandler,
  Controller,
  type ExecutionContext,
  ForbiddenException,
  Get,
  Header,
  HttpCode,
  HttpException,
  Injectable,
  Logger,
  type NestInterceptor,
  NotFoundException,
  Param,
  ParseIntPipe,
  Post,
  Put,
  Query,
  Redirect,
  Req,
  Res,
  Scope,
  StreamableFile,
  VersioningType,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import crypto from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { map, type Observable, of } from 'rxjs';
import { Cacheable, CacheEvict, CacheService, type RouteResponse } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { type HttpAppOptions, openHttpApp, PLATFORMS } from '../support/http-app.ts';

interface Reply {
  status(code: number): Reply;
  header(name: string, value: string): Reply;
  send(body: unknown): Reply;
}

describe.each(PLATFORMS)('the response cache on %s', (platform) => {
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  afterEach(async () => {
    client.close();
    await app.close();
  });
  const open = async (options: Omit<HttpAppOptions, 'platform'>): Promise<void> => {
    app = await openHttpApp({ platform, ...options });
    client = await HttpClient.of(app);
  };
  const jsonOf = ({ text }: HttpReply) => JSON.parse(text) as Record<string, unknown>;
  const runOf = async (path: string, headers = {}) => jsonOf(await client.get(path, headers))['run'];
  const statusOf = ({ headers }: HttpReply) => String(headers['cache-status']).replace(/ttl=\d+/, 'ttl=n');

  @Controller('items')
  class Items {
    runs = 0;

    @Cacheable('1m')
    @Get('found')
    list(@Query() query: object): object {
      return { query, run: ++this.runs };
    }

    @Cacheable({ key: 'item:{params.id}:{query.page}', tags: ['items', 'item:{params.id}', 'run:{result.run}'] })
    @Get('keyed/:id')
    async keyed(@Param('id', ParseIntPipe) id: number): Promise<object> {
      return Promise.resolve({ id, run: ++this.runs });
    }

    @Cacheable({
      ttl: '1m',
      tags: (_context, { value }) => [`computed:${(value as { run: number }).run}`],
      query: ['a'],
    })
    @Get('computed')
    computed(): Observable<object> {
      return of({ run: ++this.runs });
    }

    @Cacheable('1m')
    @Get(':id')
    async find(@Param('id', ParseIntPipe) id: number): Promise<object> {
      if (id === 50) await sleep(200);
      if (id === 404) throw new NotFoundException();
      return Promise.resolve({ id, run: ++this.runs });
    }

    @Put(':id')
    @CacheEvict({ tags: ['item:{params.id}'] })
    async change(@Param('id') id: string, @Res({ passthrough: true }) reply: Reply): Promise<object> {
      reply.header('location', '/items/found?any');
      return Promise.resolve({ id });
    }

    @Post(':id')
    fail(): never {
      throw new HttpException('no', 409);
    }
  }

  describe('shares', () => {
    beforeEach(() => open({ controllers: [Items] }));

    it('the response to equal paths and queries, whatever the order of parameters', async () => {
      const first = await client.get('/items/found?b=2&a=1');
      expect(statusOf(first)).toBe('"nestjs-keep";fwd=uri-miss;stored');
      const second = await client.get('/items/found?a=1&b=2&utm_source=x&gclid=y');
      expect(second.text).toBe(first.text);
      expect(statusOf(second)).toBe('"nestjs-keep";hit;ttl=n');
      expect([first.headers['x-cache'], second.headers['x-cache']]).toEqual(['MISS', 'HIT']);
      expect([first.headers.age, second.headers.age]).toEqual([undefined, '0']);
      expect(await runOf('/items/found?a=1&b=3')).toBe(2);
      expect(await runOf('/items/1')).toBe(3);
      expect(await runOf('/items/2')).toBe(4);
      expect(await runOf('/items/%31')).toBe(3);
    });

    it.each([
      ['?a=1&a=2', '?a=2&a=1'],
      ['?a=1&a[]=2', '?a[]=2&a=1'],
      ['?a=%FF', '?a=%FE'],
      ['?a=1', '?A=1'],
      ['', '?a='],
    ])('not that to queries which a handler can tell apart: %s and %s (B36)', async (first, second) => {
      await client.get(`/items/found${first}`);
      expect(await runOf(`/items/found${second}`)).toBe(2);
    });

    it('not that of another host (B36)', async () => {
      await runOf('/items/1', { host: 'a.example' });
      expect(await runOf('/items/1', { host: 'b.example' })).toBe(2);
      expect(await runOf('/items/1', { host: 'A.example:80', 'x-forwarded-host': 'evil.example' })).toBe(1);
    });

    it('one run among requests at the same time', async () => {
      const replies = await Promise.all(Array.from({ length: 50 }, () => client.get('/items/50')));
      expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
      expect(app.get(Items).runs).toBe(1);
      expect(replies.map(statusOf)).toEqual(expect.arrayContaining(['"nestjs-keep";fwd=uri-miss;collapsed']));
    });

    it('with HEAD what GET has stored, and stores nothing for it (HTTP-06)', async () => {
      const missed = await client.call('/items/1', { method: 'HEAD' });
      expect(missed.status).toBe(200);
      const got = await client.get('/items/1');
      const head = await client.call('/items/1', { method: 'HEAD' });
      expect(head.text).toBe('');
      expect(head.headers).toMatchObject({
        'content-length': got.headers['content-length'],
        etag: got.headers.etag,
        'content-type': got.headers['content-type'],
        'x-cache': 'HIT',
      });
      expect(app.get(Items).runs).toBe(2);
    });

    it.each([
      ['authorization', { authorization: 'Bearer 1' }],
      ['cookie', { cookie: 'session=1' }],
      ['cookie', { cookie: '' }],
      ['range', { range: 'bytes=0-1' }],
    ])('nothing with a request that has %s (B35, B38)', async (detail, headers) => {
      const reply = await client.get('/items/1', headers);
      expect(statusOf(reply)).toBe(`"nestjs-keep";fwd=bypass;detail=${detail}`);
      expect(reply.headers['x-cache']).toBe('BYPASS');
      expect(await runOf('/items/1')).toBe(2);
      expect(await runOf('/items/1', headers)).toBe(3);
      expect(await runOf('/items/1')).toBe(2);
    });

    it.each(['if-match', 'if-unmodified-since'])('nothing with a request that has %s (HTTP-19)', async (name) => {
      expect(await runOf('/items/1')).toBe(1);
      const value = name === 'if-match' ? '"other"' : 'Sun, 06 Nov 1994 08:49:37 GMT';
      expect(statusOf(await client.get('/items/1', { [name]: value }))).toBe('"nestjs-keep";fwd=bypass');
      expect(await runOf('/items/1')).toBe(1);
    });

    it('no entry between addresses that differ late: long names are hashed (HTTP-11)', async () => {
      const long = 'a'.repeat(300);
      expect(await runOf(`/items/found?${long}=1`)).toBe(1);
      expect(await runOf(`/items/found?${long}=2`)).toBe(2);
      expect(await runOf(`/items/found?${long}=1`)).toBe(1);
    });

    it('no error', async () => {
      for (const path of ['/items/x', '/items/404']) {
        const replies = [await client.get(path), await client.get(path)];
        expect(replies.map(({ status }) => status)).toEqual(path === '/items/x' ? [400, 400] : [404, 404]);
        expect(statusOf(replies[1]!)).toBe('"nestjs-keep";fwd=uri-miss;stored=?0;detail=status');
      }
    });

    it('the entry that a template names, until one of its tags is evicted (HTTP-27)', async () => {
      const cache = app.get(CacheService);
      expect(await runOf('/items/keyed/1?page=1&other')).toBe(1);
      expect(await runOf('/items/keyed/1?page=1')).toBe(1);
      expect((await client.get('/items/keyed/1')).status).toBe(400);
      for (const tag of ['items', 'item:1', 'run:3']) {
        const { runs } = app.get(Items);
        await cache.delByTag(tag);
        expect(await runOf('/items/keyed/1?page=1')).toBe(runs + 1);
      }
      expect(await runOf('/items/computed?b=1')).toBe(5);
      expect(await runOf('/items/computed?b=2')).toBe(5);
      await cache.delByTag('computed:5');
      expect(await runOf('/items/computed')).toBe(6);
    });

    it('nothing that an unsafe request to its path has changed, or one that points to it (HTTP-26)', async () => {
      for (const path of ['/items/7', '/items/found?x=1', '/items/8']) await client.get(path);
      await client.call('/items/7', { method: 'POST' });
      expect(await runOf('/items/7')).toBe(1);
      await client.call('/items/7', { method: 'PUT' });
      expect(await runOf('/items/7')).toBe(4);
      expect(await runOf('/items/found?x=1')).toBe(5);
      expect(await runOf('/items/8')).toBe(3);
    });

    it('nothing that a tag of the value cache has invalidated: there is one space of tags', async () => {
      await client.get('/items/keyed/7?page=1');
      await client.call('/items/7', { method: 'PUT' });
      expect(await runOf('/items/keyed/7?page=1')).toBe(2);
    });
  });

  describe('beside guards and interceptors', () => {
    @Injectable()
    class UserGuard {
      runs = 0;
      canActivate(context: ExecutionContext): boolean {
        this.runs++;
        const incoming = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
        const { 'x-user': id, 'x-denied': denied } = incoming.headers;
        if (id !== undefined) incoming.user = { id };
        if (denied !== undefined) throw new ForbiddenException();
        return true;
      }
    }
    class Account {
      readonly passwordHash = 'SECRET';
      constructor(readonly name: string) {}
    }
    /** Hides what the class says is secret, as a serialiser does; it cannot know a plain object. */
    @Injectable()
    class HideSecrets implements NestInterceptor {
      intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(map((value: unknown) => (value instanceof Account ? { name: value.name } : value)));
      }
    }

    @Controller('accounts')
    class Accounts {
      runs = 0;

      @Cacheable('1m')
      @Get()
      first(): Account {
        this.runs++;
        return new Account('ann');
      }

      private who(incoming: { user?: { id: string } }): object {
        return { id: incoming.user?.id ?? 'nobody', run: ++this.runs };
      }

      @Cacheable('1m')
      @Get('auto')
      auto(@Req() incoming: { user?: { id: string } }): object {
        return this.who(incoming);
      }

      @Cacheable({ ttl: '1m', scope: 'user' })
      @Get('user')
      user(@Req() incoming: { user?: { id: string } }): object {
        return this.who(incoming);
      }

      @Cacheable({ ttl: '1m', scope: 'public' })
      @Get('public')
      public(@Req() incoming: { user?: { id: string } }): object {
        return this.who(incoming);
      }

      @Cacheable({
        ttl: '1m',
        scope: (context) =>
          context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-tenant'],
      })
      @Get('tenant')
      tenant(@Req() incoming: { user?: { id: string } }): object {
        return this.who(incoming);
      }

      @Cacheable({ ttl: '1m', cookies: ['theme'] })
      @Get('cookies')
      cookies(): object {
        return { run: ++this.runs };
      }
    }
    const guarded = { controllers: [Accounts], providers: [UserGuard, { provide: APP_GUARD, useExisting: UserGuard }] };
    let warn: jest.SpyInstance;
    beforeEach(() => (warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue()));
    afterEach(() => warn.mockRestore());

    it.each([
      ['the module', { providers: [{ provide: APP_INTERCEPTOR, useClass: HideSecrets }] }],
      ['the application', { configure: (opening) => void opening.useGlobalInterceptors(new HideSecrets()) }],
    ] satisfies [string, Partial<HttpAppOptions>][])(
      'stores and answers what a serialiser of %s has left (HTTP-03)',
      async (_, options) => {
        await open({ controllers: [Accounts], ...options });
        for (let round = 0; round < 2; round++) expect((await client.get('/accounts')).text).toBe('{"name":"ann"}');
        expect(app.get(Accounts).runs).toBe(1);
        const stored = await app.get(CacheService).get<Buffer>('http:1:Accounts.first:get:127.0.0.1/accounts');
        expect(stored?.toString('latin1')).toContain('{"name":"ann"}');
        expect(stored?.toString('latin1')).not.toContain('SECRET');
      },
    );

    it('runs every guard for every request, and gives the denied nothing (HTTP-02)', async () => {
      await open(guarded);
      for (let round = 0; round < 5; round++) await client.get('/accounts');
      expect((await client.get('/accounts', { 'x-denied': '1' })).status).toBe(403);
      expect([app.get(UserGuard).runs, app.get(Accounts).runs]).toEqual([6, 1]);
    });

    it('gives every user a response of their own in scope auto (B35)', async () => {
      await open(guarded);
      for (const [user, run] of [
        ['alice', 1],
        ['bob', 2],
        [undefined, 3],
        [undefined, 3],
        ['alice', 4],
      ] as const) {
        const reply = await client.get('/accounts/auto', user === undefined ? {} : { 'x-user': user });
        expect(jsonOf(reply)).toEqual({ id: user ?? 'nobody', run });
        const bypassed = statusOf(reply) === '"nestjs-keep";fwd=bypass;detail=user';
        expect(bypassed).toBe(user !== undefined);
      }
      expect(warn).toHaveBeenCalledWith(expect.stringContaining('Accounts.auto has a guard and no scope'));
      expect(warn).not.toHaveBeenCalledWith(expect.stringContaining('Accounts.user'));
    });

    it('gives every user entries of their own in scope user, and nobody else any (HTTP-10)', async () => {
      await open(guarded);
      for (const [user, run] of [
        ['alice', 1],
        ['bob', 2],
        ['alice', 1],
        ['bob', 2],
        [undefined, 3],
        [undefined, 4],
      ] as const) {
        const headers = {
          authorization: `Bearer ${user}`,
          cookie: 'a=1',
          ...(user === undefined ? {} : { 'x-user': user }),
        };
        const reply = await client.get('/accounts/user', headers);
        expect(jsonOf(reply)).toEqual({ id: user ?? 'nobody', run });
        expect(reply.headers['cache-control']).toBe('private, no-cache');
      }
      expect(await app.get(CacheService).delPattern('*alice*')).toBe(0);
    });

    it('gives everybody the same in scope public', async () => {
      await open(guarded);
      await client.get('/accounts/public', { 'x-user': 'alice', authorization: 'a', cookie: 'a=1' });
      expect(jsonOf(await client.get('/accounts/public'))).toEqual({ id: 'alice', run: 1 });
    });

    it('gives each group the same where a function names it', async () => {
      await open(guarded);
      for (const [tenant, run] of [
        ['a', 1],
        ['b', 2],
        ['a', 1],
        ['b', 2],
      ] as const) {
        expect(await runOf('/accounts/tenant', { 'x-tenant': tenant })).toBe(run);
      }
      expect(await runOf('/accounts/tenant')).toBe(3);
      expect(await runOf('/accounts/tenant')).toBe(4);
    });

    it.each(['public', 'user'])(
      'parses, serialises and hashes nothing for a hit in scope %s (HTTP-32)',
      async (scope) => {
        await open(guarded);
        const ask = () => client.get(`/accounts/${scope}?a=1`, { 'x-user': 'alice' });
        for (let round = 0; round < 2; round++) await ask();
        const spies = [
          jest.spyOn(JSON, 'parse'),
          jest.spyOn(JSON, 'stringify'),
          jest.spyOn(crypto, 'createHash'),
          jest.spyOn(crypto, 'createHmac'),
        ];
        const reply = await ask();
        const calls = spies.map((spy) => spy.mock.calls.length);
        for (const spy of spies) spy.mockRestore();
        expect([reply.headers['x-cache'], calls]).toEqual(['HIT', [0, 0, 0, 0]]);
      },
    );

    it('tells the listed cookies apart and no others', async () => {
      await open({ controllers: [Accounts] });
      for (const [cookie, run] of [
        ['theme=dark', 1],
        ['theme=light; x=1', 2],
        ['x=2; theme=dark', 1],
        ['x=3', 3],
      ] as const) {
        expect(await runOf('/accounts/cookies', { cookie })).toBe(run);
      }
      expect(await runOf('/accounts/cookies')).toBe(3);
    });
  });

  describe('replays', () => {
    @Controller('replies')
    class Replies {
      runs = 0;
      private run(): { run: number; text: string } {
        return { run: ++this.runs, text: 'é€😀' };
      }

      @Cacheable('1m')
      @Get('res')
      res(@Res() reply: Reply): void {
        reply.status(203).header('x-run', String(++this.runs)).send('by hand');
      }

      @Cacheable('1m')
      @Get('passthrough')
      passthrough(@Res({ passthrough: true }) reply: Reply): object {
        reply.status(203).header('x-run', String(this.runs + 1));
        return this.run();
      }

      @Cacheable('1m')
      @Header('x-fixed', 'yes')
      @Get('declared')
      declared(): object {
        return this.run();
      }

      @Cacheable('1m')
      @Get('moved')
      @Redirect('/elsewhere', 301)
      moved(): void {
        this.runs++;
      }

      @Cacheable('1m')
      @Get('file')
      file(): StreamableFile {
        this.runs++;
        return new StreamableFile(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), { type: 'image/x-any' });
      }

      @Cacheable('1m')
      @Get('value/:kind')
      value(@Param('kind') kind: string): unknown {
        this.runs++;
        return { null: null, zero: 0, empty: '', false: false, undefined: undefined }[kind];
      }

      @Cacheable({ ttl: '1m', statuses: { 204: '1m', 404: '10s', 410: '1m' } })
      @Get('status/:status')
      status(@Param('status', ParseIntPipe) status: number, @Res({ passthrough: true }) reply: Reply): unknown {
        this.runs++;
        reply.status(status);
        return status === 204 ? undefined : { status };
      }

      @Cacheable('1m')
      @Get('header/:name/:value')
      header(
        @Param('name') name: string,
        @Param('value') value: string,
        @Res({ passthrough: true }) reply: Reply,
      ): object {
        reply.header(name, value);
        return this.run();
      }

      @Cacheable('1m')
      @All('all')
      all(): object {
        return this.run();
      }

      @Cacheable({
        ttl: '1m',
        when: (context: ExecutionContext) =>
          context.switchToHttp().getRequest<{ url: string }>().url !== '/replies/if?no',
      })
      @Get('if')
      if(): object {
        return this.run();
      }

      @Cacheable({ ttl: '1m', unless: (_: ExecutionContext, { body }: RouteResponse) => body.length > 5 })
      @Get('unless')
      unless(): object {
        return this.run();
      }

      @Cacheable({ ttl: '1m', tags: () => 1 as never })
      @Get('broken')
      broken(): object {
        return this.run();
      }

      @Cacheable({ ttl: '1m', maxBody: 10 })
      @Get('large')
      large(): object {
        return this.run();
      }
    }
    let warn: jest.SpyInstance;
    beforeEach(async () => {
      warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
      await open({ controllers: [Replies] });
    });
    afterEach(() => warn.mockRestore());
    const runs = () => app.get(Replies).runs;
    const twice = async (path: string, headers = {}) =>
      [await client.get(`/replies/${path}`, headers), await client.get(`/replies/${path}`, headers)] as const;
    /** What is about one answer only. */
    const lasting = ({ headers }: HttpReply) => {
      const passing = ['age', 'date', 'cache-status', 'x-cache'];
      return Object.entries(headers).filter(([name]) => !passing.includes(name));
    };

    it.each([
      ['res', 203],
      ['passthrough', 203],
      ['declared', 200],
      ['moved', 301],
      ['value/null', 200],
      ['value/zero', 200],
      ['value/empty', 200],
      ['value/false', 200],
      ['value/undefined', 200],
      ['status/204', 204],
      ['status/404', 404],
      ['status/410', 410],
    ])('status, headers and bytes of %s (HTTP-04, HTTP-05, HTTP-29)', async (path, status) => {
      const [first, second] = await twice(path);
      expect(runs()).toBe(1);
      expect([first.status, second.status]).toEqual([status, status]);
      expect(second.headers['x-cache']).toBe('HIT');
      expect(second.body.equals(first.body)).toBe(true);
      expect(lasting(second).sort()).toEqual(lasting(first).sort());
    });

    it('bytes that are no text, as they are (HTTP-30)', async () => {
      const [first, second] = await twice('file');
      expect(runs()).toBe(1);
      expect(first.body).toHaveLength(256);
      expect(second.body.equals(first.body)).toBe(true);
      expect(second.headers['content-type']).toBe('image/x-any');
    });

    it.each([
      ['header/set-cookie/a=1', 'set-cookie'],
      ['header/cache-control/max-age=5,%20No-Store', 'no-store'],
      ['header/cache-control/no-cache', 'no-cache'],
      ['header/cache-control/private', 'private'],
      ['header/cache-control/max-age=0', 'no-cache'],
      ['header/vary/*', 'vary'],
      ['header/access-control-allow-origin/https:%2F%2Fa.example', 'cors'],
      ['status/202', 'status'],
      ['status/500', 'status'],
      ['large', 'too-large'],
    ])('nothing of %s, and says why: %s (HTTP-08)', async (path, detail) => {
      const [first, second] = await twice(path);
      expect(statusOf(first)).toBe(`"nestjs-keep";fwd=uri-miss;stored=?0;detail=${detail}`);
      expect(second.headers['x-cache']).not.toBe('HIT');
      expect(runs()).toBe(2);
    });

    it('what the handler says about time (HTTP-14)', async () => {
      const [, second] = await twice('header/cache-control/max-age=7,s-maxage=9');
      expect(second.headers['cache-status']).toMatch(/hit;ttl=[89]$/);
      const [, aged] = await twice('header/age/5');
      expect(aged.headers.age).toBe('5');
      expect(aged.headers['cache-control']).toBe('no-cache');
    });

    it.each([
      ...['x-request-id', 'x-response-time', 'retry-after', 'server-timing', 'traceparent', 'tracestate'],
      ...['x-ratelimit-limit', 'ratelimit', 'ratelimit-policy', 'proxy-status'],
    ])('not %s (HTTP-24)', async (name) => {
      const [first, second] = await twice(`header/${name}/5`);
      expect([first.headers[name], second.headers[name]]).toEqual(['5', undefined]);
    });

    it('Cache-Status of caches behind this one, and then its own (HTTP-20)', async () => {
      const [first] = await twice('header/cache-status/up;hit');
      expect(statusOf(first)).toBe('up;hit, "nestjs-keep";fwd=uri-miss;stored');
      const reply = await client.get('/replies/header/cache-status/up;hit', { authorization: 'a' });
      expect(statusOf(reply)).toBe('up;hit, "nestjs-keep";fwd=bypass;detail=authorization');
    });

    it('no tags of Cache-Tag, but heeds them', async () => {
      const [first, second] = await twice('header/cache-tag/red,blue');
      expect([first.headers['cache-tag'], second.headers['cache-tag'], runs()]).toEqual([undefined, undefined, 1]);
      await app.get(CacheService).delByTag('blue');
      // A response made in the very millisecond of an invalidation is not stored.
      await sleep(10);
      await twice('header/cache-tag/red,blue');
      expect(runs()).toBe(2);
    });

    it('with 304 what the client has, the same on a miss and on a hit (HTTP-19)', async () => {
      const etag = String((await client.get('/replies/declared')).headers.etag);
      expect(etag).toMatch(/^W\/"[\w-]{22}"$/);
      for (const match of [etag, etag.slice(2), `"x", ${etag}`, '*']) {
        const reply = await client.get('/replies/declared', { 'if-none-match': match });
        expect([reply.status, reply.text, reply.headers.etag]).toEqual([304, '', etag]);
        expect(Object.keys(reply.headers)).not.toEqual(expect.arrayContaining(['content-type']));
        expect(reply.headers['content-length']).toBeUndefined();
        expect(reply.headers).toMatchObject({ age: '0', 'cache-control': 'no-cache', 'x-cache': 'HIT' });
      }
      expect((await client.get('/replies/declared', { 'if-none-match': '"other"' })).status).toBe(200);
      expect(runs()).toBe(1);

      const missed = await client.get('/replies/header/x-any/1', { 'if-none-match': '*' });
      expect([missed.status, missed.text, missed.headers['x-any']]).toEqual([304, '', '1']);
      expect(statusOf(missed)).toBe('"nestjs-keep";fwd=uri-miss;stored');
      const hit = await client.get('/replies/header/x-any/1');
      expect([hit.status, hit.headers['x-cache'], jsonOf(hit)['run']]).toEqual([200, 'HIT', 2]);
      expect(hit.headers.etag).toBe(missed.headers.etag);
    });

    it('with 304 also by the validators of the handler', async () => {
      const own = { 'if-none-match': '"own"' };
      expect((await client.get('/replies/header/etag/%22own%22', own)).status).toBe(304);
      expect((await client.get('/replies/header/etag/%22own%22', own)).status).toBe(304);
      const modified = 'Sun,%2006%20Nov%201994%2008:49:37%20GMT';
      const since = { 'if-modified-since': 'Sun, 06 Nov 1994 08:49:37 GMT' };
      expect((await twice(`header/last-modified/${modified}`, since)).map(({ status }) => status)).toEqual([304, 304]);
      expect(runs()).toBe(2);
    });

    it('what a client wants anew at most once per floor (HTTP-13, B37)', async () => {
      const reload = { 'cache-control': 'no-cache' };
      await client.get('/replies/declared');
      for (let round = 0; round < 5; round++) {
        expect((await client.get('/replies/declared', reload)).headers['x-cache']).toBe('HIT');
      }
      expect(runs()).toBe(1);
      await eventually(async () => {
        const reply = await client.get('/replies/declared', reload);
        expect(statusOf(reply)).toBe('"nestjs-keep";fwd=request;stored');
      });
      expect(runs()).toBe(2);
      expect((await client.get('/replies/declared', { pragma: 'no-cache' })).headers['x-cache']).toBe('HIT');
    });

    it('nothing to a client that forbids it, and 504 to one that allows nothing else (HTTP-13)', async () => {
      const noStore = await client.get('/replies/declared', { 'cache-control': 'no-store' });
      expect(statusOf(noStore)).toBe('"nestjs-keep";fwd=request;stored=?0;detail=no-store');
      const refused = await client.get('/replies/declared', { 'cache-control': 'only-if-cached' });
      expect([refused.status, jsonOf(refused)['status']]).toEqual([504, 504]);
      expect(refused.headers['content-type']).toMatch('application/problem+json');
      await client.get('/replies/declared');
      expect((await client.get('/replies/declared', { 'cache-control': 'only-if-cached' })).status).toBe(200);
      expect(runs()).toBe(2);
    });

    it('only what `when` and `unless` leave', async () => {
      const [first] = await twice('if?no');
      expect(statusOf(first)).toBe('"nestjs-keep";fwd=bypass;detail=when');
      await twice('if?yes');
      expect(runs()).toBe(3);
      await twice('unless');
      expect(runs()).toBe(5);
    });

    it('nothing when a function of the application fails, and answers all the same', async () => {
      const [first, second] = await twice('broken');
      expect([first.status, second.status, runs()]).toEqual([200, 200, 2]);
      expect(warn).toHaveBeenCalledWith(expect.stringContaining('Replies.broken: its response is not stored'));
    });

    it('GET only where a route serves all methods', async () => {
      await twice('all');
      expect((await client.call('/replies/all', { method: 'OPTIONS' })).status).toBe(200);
      expect(runs()).toBe(2);
    });
  });

  describe('where Nest builds controllers its own way', () => {
    it('shares entries between the controllers of each request, and not between subclasses', async () => {
      let runs = 0;
      @Controller({ path: 'scoped', scope: Scope.REQUEST })
      class Scoped {
        @Cacheable('1m')
        @Get()
        find(): object {
          return { run: ++runs };
        }
      }
      abstract class Base {
        abstract readonly name: string;

        @Cacheable({ ttl: '1m', key: (context: ExecutionContext) => `named ${context.getClass().name}` })
        @Get('name')
        find(): object {
          return { name: this.name };
        }
      }
      @Controller('cats')
      class Cats extends Base {
        readonly name = 'cats';
      }
      @Controller('dogs')
      class Dogs extends Base {
        readonly name = 'dogs';
      }
      await open({ controllers: [Scoped, Cats, Dogs] });
      expect([await runOf('/scoped'), await runOf('/scoped')]).toEqual([1, 1]);
      for (const name of ['cats', 'dogs', 'cats']) expect(jsonOf(await client.get(`/${name}/name`))).toEqual({ name });
    });

    it('works behind a global prefix and with versions', async () => {
      @Controller({ path: 'versions', version: '1' })
      class First {
        @Cacheable('1m')
        @Get()
        find(): string {
          return 'first';
        }
      }
      @Controller({ path: 'versions', version: '2' })
      class Second {
        @Cacheable('1m')
        @HttpCode(203)
        @Get()
        find(): string {
          return 'second';
        }
      }
      await open({
        controllers: [First, Second],
        configure: (opening) => {
          opening.setGlobalPrefix('api');
          opening.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' });
        },
      });
      for (let round = 0; round < 2; round++) {
        for (const [version, text] of [
          ['1', 'first'],
          ['2', 'second'],
        ] as const) {
          const reply = await client.get('/api/versions', { 'x-version': version });
          expect([reply.text, reply.headers['x-cache']]).toEqual([text, round === 0 ? 'MISS' : 'HIT']);
        }
      }
    });
  });
});
