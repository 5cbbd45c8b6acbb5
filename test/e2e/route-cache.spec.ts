import 'reflect-metadata';
import {
  All,
  type CallHandler,
  Controller,
  type ExecutionContext,
  ForbiddenException,
  Get,
  Header,
  HostParam,
  HttpCode,
  Injectable,
  Logger,
  type MessageEvent,
  type NestInterceptor,
  NotFoundException,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Req,
  Res,
  Scope,
  Sse,
  StreamableFile,
  type Type,
  UseInterceptors,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { EMPTY, map, type Observable } from 'rxjs';
import request from 'supertest';
import { CacheEvict } from '../../src/cache/cache-evict.decorator.ts';
import { Cacheable } from '../../src/cache/cacheable.decorator.ts';
import { CacheService } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { gatedFactory } from '../support/gate.ts';
import { type HttpAppOptions, openHttpApp, PLATFORMS } from '../support/http-app.ts';

describe.each(PLATFORMS)('@Cacheable on a route, on %s', (platform) => {
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  afterEach(() => app.close());

  const open = async (options: Omit<HttpAppOptions, 'platform'>): Promise<void> => {
    app = await openHttpApp({ platform, ...options });
  };
  const get = (path: string) => request(app.getHttpServer()).get(path).timeout(2_000);
  const bodyOf = async (path: string, headers: Record<string, string> = {}): Promise<unknown> =>
    (await get(path).set(headers).expect(200)).body as unknown;
  const failure = async (controller: Type): Promise<string> => {
    await open({});
    return openHttpApp({ platform, controllers: [controller] }).then(
      async (started) => {
        await started.close();
        throw new Error('it started');
      },
      (error: unknown) => (error as Error).message,
    );
  };

  @Controller('items')
  class Items {
    runs = 0;

    @Cacheable('1m')
    @Get('found')
    async list(@Query() query: object): Promise<object> {
      return Promise.resolve({ query, run: ++this.runs });
    }

    @Cacheable({ key: 'item:{params.id}:{query.page}', tags: ['items', 'item:{params.id}', 'run:{result.run}'] })
    @Get('keyed/:id')
    async keyed(@Param('id', ParseIntPipe) id: number): Promise<object> {
      return Promise.resolve({ id, run: ++this.runs });
    }

    @Cacheable('1m')
    @Get(':id')
    async find(@Param('id', ParseIntPipe) id: number): Promise<object> {
      return Promise.resolve({ id, run: ++this.runs });
    }

    @CacheEvict({ pattern: 'Items.find:*' })
    @Post()
    async create(): Promise<object> {
      return Promise.resolve({ run: ++this.runs });
    }
  }

  describe('what is shared', () => {
    beforeEach(() => open({ controllers: [Items] }));

    it('the value of equal paths and queries, whatever the order of parameters', async () => {
      const first = await bodyOf('/items/found?b=2&a=1');
      expect(await bodyOf('/items/found?a=1&b=2')).toEqual(first);
      expect(await bodyOf('/items/found?a=1&b=3')).toMatchObject({ run: 2 });
      expect(await bodyOf('/items/1')).toMatchObject({ run: 3 });
      expect(await bodyOf('/items/2')).toMatchObject({ run: 4 });
      expect(await bodyOf('/items/1')).toMatchObject({ run: 3 });
    });

    it.each([
      ['?a=1&a=2', '?a=2&a=1'],
      ['?a=1&a[]=2', '?a[]=2&a=1'],
      ['?a=%FF', '?a=%FE'],
      ['?a=1', '?A=1'],
      ['', '?a='],
    ])('never the value of queries that a handler can tell apart: %s and %s (B36)', async (first, second) => {
      await bodyOf(`/items/found${first}`);
      expect(await bodyOf(`/items/found${second}`)).toMatchObject({ run: 2 });
    });

    it('one run among requests at the same time', async () => {
      const bodies = await Promise.all(Array.from({ length: 20 }, () => bodyOf('/items/1')));
      expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
      expect(app.get(Items).runs).toBe(1);
    });

    it('the value with HEAD, which has no body', async () => {
      await bodyOf('/items/1');
      const response = await request(app.getHttpServer()).head('/items/1').timeout(2_000).expect(200);
      expect(response.text).toBeUndefined();
      expect(app.get(Items).runs).toBe(1);
    });

    it('the value whatever headers say', async () => {
      const first = await bodyOf('/items/1', { 'accept-language': 'en', host: 'a.example', 'x-any': '1' });
      expect(await bodyOf('/items/1', { 'accept-language': 'de', host: 'b.example' })).toEqual(first);
    });

    it.each([
      ['Authorization', { authorization: 'Bearer 1' }],
      ['a cookie', { cookie: 'session=1' }],
      ['an empty cookie', { cookie: '' }],
    ])('nothing with a request that has %s (B35)', async (_, headers: Record<string, string>) => {
      expect(await bodyOf('/items/1', headers)).toMatchObject({ run: 1 });
      expect(await bodyOf('/items/1')).toMatchObject({ run: 2 });
      expect(await bodyOf('/items/1', headers)).toMatchObject({ run: 3 });
      expect(await bodyOf('/items/1')).toMatchObject({ run: 2 });
    });

    it('no error, and no stale value in its place', async () => {
      await get('/items/x').expect(400);
      await get('/items/x').expect(400);
      expect(await bodyOf('/items/1')).toMatchObject({ run: 1 });
    });

    it('the entry that a template names, with its tags', async () => {
      const cache = app.get(CacheService);
      const first = await bodyOf('/items/keyed/1?page=1&utm=x');
      expect(await bodyOf('/items/keyed/1?page=1')).toEqual(first);
      expect(await cache.get('item:1:1')).toEqual(first);
      await get('/items/keyed/1').expect(400);
      for (const tag of ['items', 'item:1']) {
        const { runs } = app.get(Items);
        await cache.delByTag(tag);
        expect(await bodyOf('/items/keyed/1?page=1')).toMatchObject({ run: runs + 1 });
      }
      await cache.delByTag(`run:${app.get(Items).runs}`);
      expect(await bodyOf('/items/keyed/1?page=1')).toMatchObject({ run: 4 });
    });

    it('nothing that was evicted', async () => {
      await bodyOf('/items/1');
      await request(app.getHttpServer()).post('/items').expect(201);
      expect(await bodyOf('/items/1')).toMatchObject({ run: 3 });
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
      readonly secret = 'hash';
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
      async first(): Promise<Account> {
        this.runs++;
        return Promise.resolve(new Account('ann'));
      }

      @Cacheable('1m')
      @Get('me')
      async me(@Req() incoming: { user?: { id: string } }): Promise<object> {
        return Promise.resolve({ id: incoming.user?.id ?? 'nobody', run: ++this.runs });
      }
    }

    it.each([
      ['the module', { providers: [{ provide: APP_INTERCEPTOR, useClass: HideSecrets }] }],
      ['the application', { configure: (opening) => void opening.useGlobalInterceptors(new HideSecrets()) }],
    ] satisfies [string, Partial<HttpAppOptions>][])(
      'stores and answers what a serialiser of %s has left',
      async (_, options) => {
        await open({ controllers: [Accounts], ...options });
        for (let round = 0; round < 2; round++) expect(await bodyOf('/accounts')).toEqual({ name: 'ann' });
        expect(app.get(Accounts).runs).toBe(1);
      },
    );

    it('runs every guard for every request, and gives the denied nothing', async () => {
      await open({ controllers: [Accounts], providers: [UserGuard, { provide: APP_GUARD, useExisting: UserGuard }] });
      await bodyOf('/accounts');
      await bodyOf('/accounts');
      await get('/accounts').set('x-denied', '1').expect(403);
      expect([app.get(UserGuard).runs, app.get(Accounts).runs]).toEqual([3, 1]);
    });

    it('gives every user an answer of their own (B35)', async () => {
      await open({ controllers: [Accounts], providers: [UserGuard, { provide: APP_GUARD, useExisting: UserGuard }] });
      expect(await bodyOf('/accounts/me', { 'x-user': 'alice' })).toMatchObject({ id: 'alice' });
      expect(await bodyOf('/accounts/me', { 'x-user': 'bob' })).toMatchObject({ id: 'bob' });
      expect(await bodyOf('/accounts/me')).toMatchObject({ id: 'nobody', run: 3 });
      expect(await bodyOf('/accounts/me')).toMatchObject({ id: 'nobody', run: 3 });
      expect(await bodyOf('/accounts/me', { 'x-user': 'alice' })).toMatchObject({ id: 'alice', run: 4 });
    });
  });

  describe('what a value cannot say', () => {
    interface Reply {
      status(code: number): unknown;
      header(name: string, value: string): unknown;
      send(body: unknown): unknown;
    }

    @Injectable()
    class Arrivals {
      count = 0;
      canActivate(): boolean {
        return ++this.count > 0;
      }
    }

    @Controller('replies')
    class Replies {
      runs = 0;
      gate = (): Promise<unknown> => Promise.resolve();
      private run(): Promise<{ run: number }> {
        return Promise.resolve({ run: ++this.runs });
      }

      @Cacheable('1m')
      @Get('res')
      async res(@Res() reply: Reply): Promise<void> {
        reply.send(await this.run());
      }

      @Cacheable('1m')
      @Get('returned-res')
      async returnedRes(@Res() reply: Reply): Promise<object> {
        const body = await this.run();
        reply.send(body);
        return body;
      }

      @Cacheable('1m')
      @Get('passthrough')
      async passthrough(@Res({ passthrough: true }) reply: Reply): Promise<object> {
        reply.header('x-run', '1');
        return this.run();
      }

      @Cacheable('1m')
      @Header('x-fixed', 'yes')
      @HttpCode(202)
      @Get('declared')
      async declared(): Promise<object> {
        return this.run();
      }

      @Cacheable('1m')
      @Get('inside/:what')
      @UseInterceptors({
        intercept(context: ExecutionContext, next: CallHandler) {
          const reply = context.switchToHttp().getResponse<Reply>();
          const { what } = context.switchToHttp().getRequest<{ params: { what: string } }>().params;
          return next.handle().pipe(
            map((value: unknown) => {
              if (what === 'status') reply.status(203);
              if (what === 'cookie') reply.header('set-cookie', 'a=1');
              if (what === 'no-store') reply.header('cache-control', 'max-age=5, No-Store');
              if (what === 'private') reply.header('cache-control', 'private');
              return value;
            }),
          );
        },
      })
      async inside(): Promise<object> {
        return this.run();
      }

      @Cacheable('1m')
      @Get('file')
      async file(): Promise<StreamableFile> {
        await this.gate();
        return new StreamableFile(Buffer.from(`file ${(await this.run()).run}`), { type: 'text/plain' });
      }

      @Cacheable('1m')
      @Get('undefined')
      async undefined(): Promise<undefined> {
        await this.run();
        return undefined;
      }

      @Cacheable('1m')
      @Get('null')
      async null(): Promise<null> {
        await this.run();
        return null;
      }

      @Cacheable('1m')
      @All('all')
      async all(): Promise<object> {
        return this.run();
      }
    }

    let warn: jest.SpyInstance;
    beforeEach(async () => {
      warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
      await open({ controllers: [Replies], providers: [Arrivals, { provide: APP_GUARD, useExisting: Arrivals }] });
    });
    afterEach(() => warn.mockRestore());
    const runs = () => app.get(Replies).runs;

    it.each(['res', 'returned-res', 'passthrough'])('is not cached and does not hang: %s', async (path) => {
      expect(await bodyOf(`/replies/${path}`)).toEqual({ run: 1 });
      expect(await bodyOf(`/replies/${path}`)).toEqual({ run: 2 });
    });

    it('is warned about when the application starts', () => {
      for (const method of ['res', 'returnedRes', 'passthrough']) {
        expect(warn).toHaveBeenCalledWith(expect.stringContaining(`Replies.${method} is not cached`));
      }
    });

    it.each(['status', 'cookie', 'no-store', 'private'])('is not stored: %s', async (what) => {
      await get(`/replies/inside/${what}`);
      await get(`/replies/inside/${what}`);
      expect(runs()).toBe(2);
      await get('/replies/inside/nothing');
      await get('/replies/inside/nothing');
      expect(runs()).toBe(3);
    });

    it('is repeated where decorators say it: status and headers', async () => {
      for (let round = 0; round < 2; round++) {
        const response = await get('/replies/declared').expect(202).expect('x-fixed', 'yes');
        expect(response.body).toEqual({ run: 1 });
      }
    });

    it('is a stream of its own for each request, also for those that waited for the same entry', async () => {
      const gate = gatedFactory(() => undefined);
      app.get(Replies).gate = gate;
      const answers = Array.from({ length: 5 }, () => get('/replies/file').expect(200).then());
      await eventually(() => app.get(Arrivals).count === 5);
      gate.open();
      const texts = (await Promise.all(answers)).map(({ text }) => text).sort();
      expect(texts).toEqual(['file 1', 'file 2', 'file 3', 'file 4', 'file 5']);
      expect(app.get(CacheService).getMetrics().unstorable).toBe(0);
    });

    it('undefined is not stored, null is', async () => {
      await get('/replies/undefined').expect(200);
      await get('/replies/undefined').expect(200);
      expect(runs()).toBe(2);
      await get('/replies/null').expect(200);
      await get('/replies/null').expect(200);
      expect(runs()).toBe(3);
    });

    it('only GET is cached where a route serves all methods', async () => {
      await bodyOf('/replies/all');
      await bodyOf('/replies/all');
      await request(app.getHttpServer()).post('/replies/all').timeout(2_000).expect(200);
      expect(runs()).toBe(2);
    });
  });

  describe('in grace', () => {
    @Controller('graced')
    class Graced {
      fail: Error | undefined;

      @Cacheable({ ttl: '1ms', grace: '1h' })
      @Get()
      async find(): Promise<string> {
        if (this.fail !== undefined) throw this.fail;
        return Promise.resolve('stale');
      }
    }

    it('a failure is answered with the stale value, a client error is not', async () => {
      await open({ controllers: [Graced] });
      const graced = app.get(Graced);
      await get('/graced').expect(200);
      await eventually(async () => expect(await app.get(CacheService).has('Graced.find:/graced')).toBe(false));
      graced.fail = new NotFoundException();
      await get('/graced').expect(404);
      graced.fail = new Error('the database is away');
      const response = await get('/graced').expect(200);
      expect(response.text).toBe('stale');
    });
  });

  describe('where Nest builds controllers its own way', () => {
    it('a controller of each request shares entries', async () => {
      let runs = 0;
      @Controller({ path: 'scoped', scope: Scope.REQUEST })
      class Scoped {
        @Cacheable('1m')
        @Get()
        async find(): Promise<object> {
          return Promise.resolve({ run: ++runs });
        }
      }
      await open({ controllers: [Scoped] });
      await bodyOf('/scoped');
      expect(await bodyOf('/scoped')).toEqual({ run: 1 });
    });

    it('subclasses of a controller do not share entries', async () => {
      abstract class Base {
        abstract readonly name: string;

        @Cacheable('1m')
        @Get('name')
        async find(): Promise<object> {
          return Promise.resolve({ name: this.name });
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
      await open({ controllers: [Cats, Dogs] });
      for (const name of ['cats', 'dogs', 'cats']) expect(await bodyOf(`/${name}/name`)).toEqual({ name });
    });

    it('hosts do not share entries where the controller reads them', async () => {
      @Controller({ path: 'tenant', host: ':tenant.example.com' })
      class Tenants {
        @Cacheable('1m')
        @Get()
        async find(@HostParam('tenant') tenant: string): Promise<object> {
          return Promise.resolve({ tenant });
        }
      }
      await open({ controllers: [Tenants] });
      for (const tenant of ['a', 'b', 'a']) {
        expect(await bodyOf('/tenant', { host: `${tenant}.example.com` })).toEqual({ tenant });
      }
    });
  });

  describe('wrong use stops the start', () => {
    it('on a route that is not GET', async () => {
      @Controller()
      class Wrong {
        @Post()
        @Cacheable('1m')
        async create(): Promise<string> {
          return Promise.resolve('created');
        }
      }
      await expect(failure(Wrong)).resolves.toMatch(/Wrong\.create: only GET/);
    });

    it('on an event stream', async () => {
      @Controller()
      class Wrong {
        @Sse()
        @Cacheable('1m')
        async events(): Promise<Observable<MessageEvent>> {
          return Promise.resolve(EMPTY);
        }
      }
      await expect(failure(Wrong)).resolves.toMatch(/Wrong\.events: an event stream/);
    });

    it('with functions of arguments, and with placeholders that would share what is not for all', async () => {
      @Controller()
      class Wrong {
        @Get('functions/:id')
        @Cacheable({ key: (id) => id, tags: (id) => [id], when: () => true, unless: () => true })
        async functions(@Param('id') id: string): Promise<string> {
          return Promise.resolve(id);
        }

        @Get('arguments/:id')
        @Cacheable({ key: 'x:{id}:{user.id}' })
        async arguments(@Param('id') id: string): Promise<string> {
          return Promise.resolve(id);
        }
      }
      const message = await failure(Wrong);
      for (const option of ['key', 'tags', 'when', 'unless']) expect(message).toContain(`Wrong.functions: ${option}: `);
      for (const placeholder of ['{id}', '{user.id}']) expect(message).toContain(`Wrong.arguments: ${placeholder}: `);
    });
  });
});
