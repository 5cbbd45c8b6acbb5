import 'reflect-metadata';
import {
  All,
  BadRequestException,
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  Param,
  Post,
  Sse,
  type Type,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { of, type Observable } from 'rxjs';
import request from 'supertest';
import {
  CacheModule,
  type CacheModuleOptions,
  isRateLimitExceededError,
  RateLimit,
  RateLimitGuard,
  RateLimitService,
  SkipRateLimit,
} from '../../src/index.ts';
import { type HttpAppOptions, openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { freePorts, HOST } from '../support/free-ports.ts';
import { openOn, POSITIONS, silenceErrors, TRANSPORTS } from '../support/transports.ts';

/** Knows a user by the name in a header, as an application's own guard would by a token. */
@Injectable()
class Identify implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const incoming = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
    const [name, tier] = (incoming.headers['x-name'] ?? '').split('/');
    if (name) incoming.user = { id: name, tier };
    return true;
  }
}

@Injectable()
class Deny implements CanActivate {
  canActivate(): boolean {
    throw new UnauthorizedException();
  }
}

@Controller('items')
class Items {
  runs = 0;

  @RateLimit(3, 60)
  @Get(':id')
  find(@Param('id') id: string): object {
    return { id, run: ++this.runs };
  }
}

describe.each(PLATFORMS)('@RateLimit on a route, on %s', (platform) => {
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  afterEach(() => app.close());

  const open = async (options: Omit<HttpAppOptions, 'platform'>): Promise<void> => {
    app = await openHttpApp({ platform, cache: { redis: false }, ...options });
  };
  const get = (path: string, headers: Record<string, string> = {}) =>
    request(app.getHttpServer()).get(path).set(headers).timeout(2_000);
  const post = (path: string, body: object = {}) => request(app.getHttpServer()).post(path).send(body).timeout(2_000);
  const statusesOf = async (calls: number, call: () => PromiseLike<{ status: number }>): Promise<number[]> => {
    const statuses: number[] = [];
    for (let i = 0; i < calls; i++) statuses.push((await call()).status);
    return statuses;
  };

  describe('the answer', () => {
    it('says on every response where the caller stands (RL-01)', async () => {
      await open({ controllers: [Items] });
      const answer = await get('/items/1').expect(200);
      const { headers } = answer;
      const body = answer.body as object;
      expect(body).toEqual({ id: '1', run: 1 });
      expect(headers['ratelimit-policy']).toBe('"items-find";q=3;w=60');
      expect(headers['ratelimit']).toMatch(/^"items-find";r=2;t=6\d$/);
      expect(headers['retry-after']).toBeUndefined();
    });

    it('is 429 problem+json with Retry-After when the quota is spent (RL-03, RL-04)', async () => {
      await open({ controllers: [Items] });
      await statusesOf(3, () => get('/items/1'));
      const answer = await get('/items/1').expect(429);
      const { headers } = answer;
      const body = answer.body as object;
      const { 'retry-after': retryAfter, ratelimit = '' } = headers as Record<string, string>;
      expect(headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(retryAfter).toMatch(/^6\d$/);
      expect(ratelimit).toBe(`"items-find";r=0;t=${retryAfter}`);
      expect(body).toMatchObject({
        type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
        title: 'Request cannot be satisfied as assigned quota has been exceeded',
        status: 429,
        statusCode: 429,
        detail: `Too many requests: try again in ${retryAfter} s`,
        message: `Too many requests: try again in ${retryAfter} s`,
        code: 'KEEP_RATE_LIMIT_EXCEEDED',
        'violated-policies': ['items-find'],
      });
      expect(app.get(Items).runs).toBe(3);
    });

    it('is what Nest answers, if wanted', async () => {
      await open({ controllers: [Items], cache: { redis: false, rateLimit: { errors: 'nest', headers: false } } });
      const { headers } = await get('/items/1');
      expect(Object.keys(headers).filter((name) => name.includes('ratelimit'))).toEqual([]);
      await statusesOf(2, () => get('/items/1'));
      const refused = await get('/items/1').expect(429);
      expect(refused.headers['content-type']).toMatch(/^application\/json/);
      expect(refused.headers['retry-after']).toMatch(/^6\d$/);
      expect(refused.body).toMatchObject({ statusCode: 429, code: 'KEEP_RATE_LIMIT_EXCEEDED' });
    });

    it('has the older forms of headers beside it (RL-06)', async () => {
      await open({
        controllers: [Items],
        cache: { redis: false, rateLimit: { headers: ['draft-7', 'draft-6', 'legacy'] } },
      });
      const { headers } = await get('/items/1');
      const figures = Object.fromEntries(Object.entries(headers).filter(([name]) => name.includes('ratelimit')));
      expect(figures).toEqual({
        'ratelimit-policy': '3;w=60',
        ratelimit: expect.stringMatching(/^limit=3, remaining=2, reset=6\d$/) as string,
        'ratelimit-limit': '3',
        'ratelimit-remaining': '2',
        'ratelimit-reset': expect.stringMatching(/^6\d$/) as string,
        'x-ratelimit-limit': '3',
        'x-ratelimit-remaining': '2',
        'x-ratelimit-reset': expect.stringMatching(/^6\d$/) as string,
      });
    });

    it('tells counts apart by a keyed hash, if there is a key for it (RL-02)', async () => {
      const partitionSecret = 'a secret of sixteen characters';
      await open({
        controllers: [Items],
        providers: [guard(Identify)],
        cache: { redis: false, rateLimit: { partitionSecret } },
      });
      const of = async (name: string) => {
        const { ratelimit = '', ...headers } = (await get('/items/1', { 'x-name': name })).headers as Record<
          string,
          string
        >;
        const key = /;pk=(:[\w+/]{12}:)$/.exec(ratelimit)?.[1];
        expect(headers['ratelimit-policy']).toBe(`"items-find";q=3;w=60;pk=${key}`);
        return key;
      };
      const [ann, bob, again] = [await of('ann'), await of('bob'), await of('ann')];
      expect(ann).toBe(again);
      expect(ann).not.toBe(bob);
    });

    it('can be read by scripts of other origins (RL-09)', async () => {
      await open({
        controllers: [Items],
        configure: (opening) => {
          opening.enableCors({ exposedHeaders: ['X-Total', 'RateLimit'] });
        },
      });
      const origin = { origin: 'https://shop.example' };
      const exposed = async (headers: Record<string, string>) =>
        ((await get('/items/1', headers)).headers as Record<string, string>)['access-control-expose-headers']
          ?.split(/,\s*/)
          .sort();
      expect(await exposed(origin)).toEqual(['RateLimit', 'RateLimit-Policy', 'X-Total']);
      await statusesOf(2, () => get('/items/1'));
      expect(await exposed(origin)).toEqual(['RateLimit', 'RateLimit-Policy', 'Retry-After', 'X-Total']);
      expect(await exposed({})).not.toContain('Retry-After');
    });

    it('is 503 problem+json with Retry-After where nobody may pass uncounted (RL-05, F48)', async () => {
      @Controller()
      class Strict {
        @RateLimit({ name: 'login', limit: 3, window: '1m', onOutage: 'reject' })
        @Get('login')
        login(): string {
          return 'in';
        }
        @RateLimit({ name: 'open', limit: 1, window: '1m', onOutage: 'allow' })
        @Get('open')
        open(): string {
          return 'in';
        }
        @RateLimit({ name: 'local', limit: 1, window: '1m' })
        @Get('local')
        local(): string {
          return 'in';
        }
      }
      const [port = 0] = await freePorts(1);
      await open({
        controllers: [Strict],
        cache: { redis: { host: HOST, port, bootBudget: '50ms' }, logLevel: 'fatal' },
      });
      const answer = await get('/login').expect(503);
      const { headers } = answer;
      const body = answer.body as object;
      expect(headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(headers['retry-after']).toBe('1');
      expect(body).toMatchObject({
        type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
        status: 503,
        code: 'KEEP_STORE_UNAVAILABLE',
      });
      expect(await statusesOf(3, () => get('/open'))).toEqual([200, 200, 200]);
      expect(await statusesOf(3, () => get('/local'))).toEqual([200, 429, 429]);
      expect(app.get(RateLimitService).getMetrics().degraded).toBeGreaterThan(5);
    });
  });

  describe('who is counted', () => {
    it('is one user under whatever address, and one address without a user', async () => {
      await open({ controllers: [Items], providers: [guard(Identify)] });
      expect(await statusesOf(4, () => get('/items/1', { 'x-name': 'ann' }))).toEqual([200, 200, 200, 429]);
      expect(await statusesOf(1, () => get('/items/1', { 'x-name': 'bob' }))).toEqual([200]);
      expect(await statusesOf(4, () => get('/items/1'))).toEqual([200, 200, 200, 429]);
    });

    it('is one caller in thirty disguises (B24–B30)', async () => {
      @Controller('users')
      class Users {
        @RateLimit(5, 60)
        @Get(':id')
        find(@Param('id') id: string): string {
          return id;
        }
      }
      await open({ controllers: [Users] });
      const server = request(app.getHttpServer());
      const forwarded = [
        '9.9.9.9',
        '::1',
        'garbage"><',
        '1.2.3.4:5678',
        '10.0.0.1, 9.9.9.9',
        'unknown',
        '::ffff:9.9.9.9',
      ];
      const disguises = [
        ...['/users/1', '/users/1/', '/users/%31', '/users/1?x=1', '/users/1?', '/users/1#a', '/users/2', '/USERS/1'],
        ...['/users/1;a=b', '/users/%32', '/Users/3', '//users/1', '/users/1//'],
      ].map((path) => () => server.get(path));
      disguises.push(
        ...forwarded.map((ip) => () => server.get('/users/1').set('x-forwarded-for', ip)),
        ...['x-real-ip', 'forwarded', 'true-client-ip', 'cf-connecting-ip', 'x-client-ip', 'x-cluster-client-ip'].map(
          (name) => () => server.get('/users/1').set(name, 'for=9.9.9.9'),
        ),
        () => server.head('/users/1'),
        () => server.head('/users/1/').set('x-http-method-override', 'POST'),
        () => server.get('/users/1').set('x-http-method-override', 'DELETE'),
        () => server.get('/users/1').set('user-agent', 'another').set('accept-language', 'fr'),
      );
      expect(disguises.length).toBeGreaterThanOrEqual(30);
      const statuses: number[] = [];
      for (const call of disguises) statuses.push((await call().timeout(2_000)).status);
      // Some of them are other paths on one of the platforms: nobody is served there.
      expect(statuses.filter((status) => status === 200)).toHaveLength(5);
      expect(new Set(statuses)).toEqual(new Set([200, 404, 429]));
    });

    it.each([
      ['127.0.0.1', '::ffff:9.9.9.9', '9.9.9.9'],
      ['127.0.0.1', '2001:db8:1:2::1', '2001:db8:1:2:ffff::9'],
      ['127.0.0.1', '9.9.9.9:1234', '9.9.9.9'],
      ['127.0.0.1', '[2001:db8::1]:443', '2001:db8::2'],
    ])('behind a trusted proxy (%s) is the client it names: %s is %s (B25–B27)', async (proxy, one, other) => {
      await openBehind(proxy, ['127.0.0.1', '::1']);
      expect(await statusesOf(3, () => get('/items/1', { 'x-forwarded-for': one }))).toEqual([200, 200, 200]);
      expect(await statusesOf(1, () => get('/items/1', { 'x-forwarded-for': other }))).toEqual([429]);
      expect(await statusesOf(1, () => get('/items/1', { 'x-forwarded-for': '8.8.8.8' }))).toEqual([200]);
    });

    it('is the other end of the connection where the proxy names nobody', async () => {
      await openBehind('127.0.0.1', ['127.0.0.1', '::1']);
      const names = ['garbage"><', 'unknown', 'undefined', '_hidden'];
      const statuses: number[] = [];
      for (const name of names) statuses.push((await get('/items/1', { 'x-forwarded-for': name })).status);
      expect(statuses).toEqual([200, 200, 200, 429]);
    });

    it('is not what anybody says: trust in every proxy is refused at the start (B24)', async () => {
      await open({});
      const failure = openBehind('', true).catch((error: unknown) => (error as Error).message);
      expect(await failure).toMatch(/trust proxy/);
    });

    it('is who the policy says: a function, or the address where it finds nobody (B31)', async () => {
      @Controller()
      class Otp {
        @RateLimit({ name: 'phone', limit: 2, window: '1m', by: (incoming) => incoming.body['phone'] })
        @Post('otp')
        send(): string {
          return 'sent';
        }
      }
      await open({ controllers: [Otp] });
      expect(await statusesOf(3, () => post('/otp', { phone: '+491' }))).toEqual([201, 201, 429]);
      expect(await statusesOf(3, () => post('/otp', { phone: 492 }))).toEqual([201, 201, 429]);
      const nobody = [{}, { phone: ' ' }, { phone: { a: 1 } }, { phone: null }];
      const statuses: number[] = [];
      for (const body of nobody) statuses.push((await post('/otp', body)).status);
      expect(statuses).toEqual([201, 201, 429, 429]);
      // Nobody spends the quota of an address, or of a user, by taking its name for a phone number.
      expect(await statusesOf(1, () => post('/otp', { phone: 'ip:127.0.0.1' }))).toEqual([201]);
      expect(await statusesOf(1, () => post('/otp', { phone: 'x'.repeat(10_000) }))).toEqual([201]);
      expect(await statusesOf(1, () => request(app.getHttpServer()).post('/otp'))).toEqual([429]);
    });

    const openBehind = (_: string, trusted: readonly string[] | true) => {
      const adapter =
        platform === 'fastify' ? { adapter: new FastifyAdapter({ trustProxy: trusted as string[] }) } : {};
      return open({
        controllers: [Items],
        ...adapter,
        configure: (opening) => {
          const instance = opening.getHttpAdapter().getInstance() as { set?: (name: string, value: unknown) => void };
          instance.set?.('trust proxy', trusted);
        },
      });
    };
  });

  describe('policies', () => {
    const otp: CacheModuleOptions = {
      redis: false,
      rateLimit: {
        policies: {
          otp: [
            { name: 'otp-phone', limit: 2, window: '1m', by: ({ body }) => body['phone'] },
            { name: 'otp-ip', limit: 3, window: '1h', by: 'ip' },
          ],
        },
      },
    };

    it('of one name are decided together, and a refused request charges none (RL-07)', async () => {
      @Controller()
      class Otp {
        @RateLimit('otp')
        @Post('otp')
        send(): string {
          return 'sent';
        }
      }
      await open({ controllers: [Otp], cache: otp });
      expect(await statusesOf(4, () => post('/otp', { phone: '1' }))).toEqual([201, 201, 429, 429]);
      const answer = await post('/otp', { phone: '1' });
      const { headers } = answer;
      const body = answer.body as object;
      expect(headers['ratelimit']).toMatch(/^"otp-phone";r=0;t=6\d, "otp-ip";r=1;t=3\d{3}$/);
      expect(headers['ratelimit-policy']).toBe('"otp-phone";q=2;w=60, "otp-ip";q=3;w=3600');
      expect(body).toMatchObject({ 'violated-policies': ['otp-phone'] });
      expect(await statusesOf(2, () => post('/otp', { phone: '2' }))).toEqual([201, 429]);
    });

    it('of several decorators are decided together', async () => {
      @Controller()
      class Both {
        @RateLimit({ name: 'burst', limit: 2, window: '1m' })
        @Get('both')
        @RateLimit({ name: 'long', limit: 3, window: '1h' })
        read(): string {
          return 'ok';
        }
      }
      await open({ controllers: [Both] });
      expect(await statusesOf(4, () => get('/both'))).toEqual([200, 200, 429, 429]);
      expect((await get('/both')).headers['ratelimit']).toMatch(/^"long";r=1;t=\d+, "burst";r=0;t=\d+$/);
    });

    it('on a method replace those on its class, and can be skipped', async () => {
      @RateLimit(1, 60)
      @Controller('mixed')
      class Mixed {
        @Get('class')
        byClass(): string {
          return 'ok';
        }
        @RateLimit(2, 60)
        @Get('method')
        byMethod(): string {
          return 'ok';
        }
        @SkipRateLimit()
        @Get('free')
        free(): string {
          return 'ok';
        }
      }
      await open({ controllers: [Mixed] });
      expect(await statusesOf(2, () => get('/mixed/class'))).toEqual([200, 429]);
      expect(await statusesOf(3, () => get('/mixed/method'))).toEqual([200, 200, 429]);
      expect(await statusesOf(3, () => get('/mixed/free'))).toEqual([200, 200, 200]);
    });

    it('by default hold for handlers that the guard sees and no decorator mentions', async () => {
      @Controller()
      class Plain {
        @Get('plain')
        plain(): string {
          return 'ok';
        }
        @SkipRateLimit()
        @Get('health')
        health(): string {
          return 'ok';
        }
        @RateLimit(1, 60)
        @Get('own')
        own(): string {
          return 'ok';
        }
      }
      const policies = { default: { name: 'default', limit: 2, window: '1m' } } as const;
      await open({
        controllers: [Plain],
        providers: [guard(RateLimitGuard)],
        cache: { redis: false, rateLimit: { policies } },
      });
      expect(await statusesOf(3, () => get('/plain'))).toEqual([200, 200, 429]);
      expect(await statusesOf(3, () => get('/health'))).toEqual([200, 200, 200]);
      // Two guards see it, one decides.
      expect(await statusesOf(2, () => get('/own'))).toEqual([200, 429]);
    });

    it('know tiers, costs, shadows, and who is exempt or denied (RL-10)', async () => {
      @Controller()
      class Uploads {
        @RateLimit({
          name: 'daily',
          limit: 1,
          window: '1d',
          tiers: { gold: 4 },
          cost: ({ headers }) => Number(headers['x-size'] ?? 1),
          skip: ({ headers }) => headers['x-skip'] === 'yes',
        })
        @Get('uploads')
        upload(): string {
          return 'ok';
        }
        @RateLimit({ name: 'try', limit: 1, window: '1m', shadow: true })
        @Get('shadow')
        shadow(): string {
          return 'ok';
        }
      }
      await open({ controllers: [Uploads], providers: [guard(Identify)], cache: { redis: false, logLevel: 'fatal' } });
      expect(await statusesOf(2, () => get('/uploads', { 'x-name': 'ann/bronze' }))).toEqual([200, 429]);
      expect(await statusesOf(3, () => get('/uploads', { 'x-name': 'bob/gold', 'x-size': '2' }))).toEqual([
        200, 200, 429,
      ]);
      expect(await statusesOf(2, () => get('/uploads', { 'x-name': 'ann/bronze', 'x-skip': 'yes' }))).toEqual([
        200, 200,
      ]);
      expect(await statusesOf(3, () => get('/shadow'))).toEqual([200, 200, 200]);
      expect((await get('/shadow')).headers['ratelimit']).toMatch(/^"try";r=0;t=\d+$/);
      expect(app.get(RateLimitService).getMetrics()).toMatchObject({ shadowed: 3 });
    });

    it.each([
      ['allow', [200, 200, 200, 200]],
      ['deny', [403, 403, 403, 403]],
    ] as const)('have a list of addresses to %s', async (list, expected) => {
      await open({ controllers: [Items], cache: { redis: false, rateLimit: { [list]: ['127.0.0.0/8', '::1'] } } });
      expect(await statusesOf(4, () => get('/items/1'))).toEqual(expected);
    });

    it('give back what failed, if they say so', async () => {
      @Controller()
      class Login {
        @RateLimit({ name: 'login', limit: 2, window: '1m', refund: 'failed' })
        @Post('login')
        login(@Body('ok') ok: boolean): string {
          if (!ok) throw new BadRequestException();
          return 'in';
        }
      }
      await open({ controllers: [Login] });
      expect(await statusesOf(5, () => post('/login', { ok: false }))).toEqual([400, 400, 400, 400, 400]);
      expect(await statusesOf(3, () => post('/login', { ok: true }))).toEqual([201, 201, 429]);
    });

    it('block whoever keeps asking (RL-05)', async () => {
      const escalate = { after: 2, within: '10m', block: '1h' } as const;
      @Controller()
      class Strict {
        @RateLimit({ name: 'strict', limit: 1, window: '1m', escalate })
        @Get('strict')
        read(): string {
          return 'ok';
        }
      }
      await open({ controllers: [Strict], cache: { redis: false, logLevel: 'fatal' } });
      expect(await statusesOf(2, () => get('/strict'))).toEqual([200, 429]);
      const answer = await get('/strict').expect(429);
      const { headers } = answer;
      const body = answer.body as object;
      expect(headers['retry-after']).toBe('3600');
      expect(body).toMatchObject({ type: expect.stringMatching(/#abnormal-usage-detected$/) as string });
    });
  });

  describe('the guard', () => {
    it.each(['above', 'below'])(
      'runs behind other guards of the method, wherever the decorator stands (%s)',
      async (place) => {
        const [above, below] =
          place === 'above' ? [RateLimit(1, 60), UseGuards(Identify)] : [UseGuards(Identify), RateLimit(1, 60)];
        @Controller()
        class Ordered {
          @above
          @below
          @Get('ordered')
          read(): string {
            return 'ok';
          }
        }
        await open({ controllers: [Ordered] });
        expect(await statusesOf(2, () => get('/ordered', { 'x-name': 'ann' }))).toEqual([200, 429]);
        expect(await statusesOf(2, () => get('/ordered', { 'x-name': 'bob' }))).toEqual([200, 429]);
      },
    );

    it('counts nothing that another guard denies, unless it is placed in front of it', async () => {
      @Controller()
      class Closed {
        @RateLimit(1, 60)
        @UseGuards(Deny)
        @Get('closed')
        closed(): string {
          return 'ok';
        }
        @RateLimit(1, 60)
        @UseGuards(RateLimitGuard, Deny)
        @Get('guarded')
        guarded(): string {
          return 'ok';
        }
      }
      await open({ controllers: [Closed] });
      expect(await statusesOf(2, () => get('/closed'))).toEqual([401, 401]);
      expect(await statusesOf(2, () => get('/guarded'))).toEqual([401, 429]);
    });

    it('can be made to decide otherwise, piece by piece', async () => {
      class OwnGuard extends RateLimitGuard {
        protected override shouldSkip = (context: ExecutionContext) => headersOf(context)['x-skip'] === 'yes';
        protected override subjectOf = (_: unknown, context: ExecutionContext) => headersOf(context)['x-tenant'];
        protected override tierOf = (context: ExecutionContext) => headersOf(context)['x-plan'];
        protected override errorOf = () => new BadRequestException('slow down');
      }
      const headersOf = (context: ExecutionContext) =>
        context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>().headers;
      @Controller()
      class Tenants {
        @RateLimit({ name: 'tenant', limit: 1, window: '1m', tiers: { big: 2 } })
        @Get('tenants')
        read(): string {
          return 'ok';
        }
      }
      await open({ controllers: [Tenants], providers: [guard(OwnGuard)] });
      expect(await statusesOf(2, () => get('/tenants', { 'x-tenant': 'a' }))).toEqual([200, 400]);
      expect(await statusesOf(3, () => get('/tenants', { 'x-tenant': 'b', 'x-plan': 'big' }))).toEqual([200, 200, 400]);
      expect(await statusesOf(2, () => get('/tenants', { 'x-tenant': 'a', 'x-skip': 'yes' }))).toEqual([200, 200]);
    });

    it('lets nobody in without the module', async () => {
      await open({});
      const module = await Test.createTestingModule({ controllers: [Items] }).compile();
      const unprotected = module.createNestApplication();
      unprotected.useLogger(false);
      await unprotected.init();
      const { status } = await request(unprotected.getHttpServer() as never).get('/items/1');
      await unprotected.close();
      expect(status).toBe(500);
    });

    it('leaves streams, wildcards and inherited handlers as they are', async () => {
      class Base {
        @RateLimit(1, 60)
        @Get('inherited')
        read(): string {
          return 'ok';
        }
      }
      @Controller('one')
      class One extends Base {}
      @Controller('other')
      class Other extends Base {
        @RateLimit(5, 60)
        @Sse('events')
        events(): Observable<{ data: string }> {
          return of({ data: 'hello' });
        }
        @RateLimit(2, 60)
        @All('wild/:part')
        wild(): string {
          return 'ok';
        }
      }
      await open({ controllers: [One, Other] });
      expect(await statusesOf(2, () => get('/one/inherited'))).toEqual([200, 429]);
      expect(await statusesOf(2, () => get('/other/inherited'))).toEqual([200, 429]);
      const { text, headers } = await get('/other/events').expect(200);
      expect(text).toContain('data: hello');
      expect(headers['ratelimit']).toMatch(/r=4/);
      const paths = ['/other/wild/a', '/other/wild/b', '/other/wild/c'];
      const statuses: number[] = [];
      for (const path of paths) statuses.push((await get(path)).status);
      expect(statuses).toEqual([200, 200, 429]);
    });
  });
});

const guard = (type: Type<CanActivate>) => ({ provide: APP_GUARD, useClass: type });

describe('@RateLimit on any other method', () => {
  const opened: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const app of opened.splice(0)) await app.close();
  });

  async function openWith<T>(type: Type<T>, rateLimit: CacheModuleOptions['rateLimit'] = {}): Promise<T> {
    const cache = CacheModule.forRoot({ redis: false, rateLimit });
    const module = await Test.createTestingModule({ imports: [cache], providers: [type] }).compile();
    opened.push(module);
    await module.init();
    return module.get(type);
  }
  const failureOf = async (type: Type, rateLimit?: CacheModuleOptions['rateLimit']): Promise<string> => {
    const error: unknown = await openWith(type, rateLimit).catch((failure: unknown) => failure);
    opened.pop();
    return (error as Error).message;
  };
  const outcomesOf = async (calls: readonly (() => Promise<unknown>)[]): Promise<unknown[]> => {
    const outcomes: unknown[] = [];
    for (const call of calls) {
      outcomes.push(await call().catch((error: unknown) => (isRateLimitExceededError(error) ? 'refused' : error)));
    }
    return outcomes;
  };

  it('limits it for all callers, or for each by its arguments', async () => {
    @Injectable()
    class Mail {
      @RateLimit(2, '1m')
      async newsletter(): Promise<string> {
        return Promise.resolve('sent');
      }
      @RateLimit({ name: 'mail', limit: 1, window: '1m', by: ((to: string) => to) as never })
      async send(to: string): Promise<string> {
        return Promise.resolve(to);
      }
    }
    const mail = await openWith(Mail);
    const newsletter = () => mail.newsletter();
    expect(await outcomesOf([newsletter, newsletter, newsletter])).toEqual(['sent', 'sent', 'refused']);
    const send = (to: string) => () => mail.send(to);
    expect(await outcomesOf([send('ann'), send('ann'), send('bob')])).toEqual(['ann', 'refused', 'bob']);
    await expect(mail.send('')).rejects.toThrow(/Mail\.send.*by/s);
  });

  it('decides several policies together', async () => {
    @Injectable()
    class Mail {
      @RateLimit('slow')
      @RateLimit(3, '1m')
      async send(): Promise<string> {
        return Promise.resolve('sent');
      }
    }
    const mail = await openWith(Mail, { policies: { slow: { name: 'slow', limit: 1, window: '1m' } } });
    await outcomesOf([() => mail.send(), () => mail.send(), () => mail.send()]);
    const limits = (opened.at(-1) as never as { get(type: typeof RateLimitService): RateLimitService }).get(
      RateLimitService,
    );
    const standing = await limits.check({ name: 'Mail.send', limit: 3, window: '1m' }, 'everybody');
    expect(standing).toMatchObject({ remaining: 2 });
  });

  it('does not run without the module', async () => {
    class Mail {
      @RateLimit(1, 60)
      async send(): Promise<string> {
        return Promise.resolve('sent');
      }
    }
    await expect(new Mail().send()).rejects.toThrow(/Mail\.send .*@RateLimit/);
  });

  it('keeps the name and the length of a method', () => {
    expect([Items.prototype.find.name, Items.prototype.find.length]).toEqual(['find', 1]);
  });

  it('says at the start what is wrong, and where', async () => {
    @Injectable()
    class Unknown {
      @RateLimit('otpp')
      async send(): Promise<void> {
        return Promise.resolve();
      }
    }
    @Injectable()
    class Requestless {
      @RateLimit({ name: 'x', limit: 1, window: '1m', by: 'ip' })
      async send(): Promise<void> {
        return Promise.resolve();
      }
    }
    @RateLimit(1, 60)
    @Injectable()
    class NoHandlers {
      async send(): Promise<void> {
        return Promise.resolve();
      }
    }
    const policies = { otp: { name: 'otp', limit: 1, window: '1m' } } as const;
    expect(await failureOf(Unknown, { policies })).toMatch(/Unknown\.send: .*'otpp'; did you mean 'otp'/);
    expect(await failureOf(Requestless)).toMatch(/Requestless\.send: by: /);
    expect(await failureOf(NoHandlers)).toMatch(/NoHandlers: /);
  });

  it.each([
    [['20', 60], /Wrong\.act.*limit: must be a whole number.*received '20'/s],
    [['', 60], /Wrong\.act.*limit/s],
    [[NaN, 60], /Wrong\.act.*limit.*NaN/s],
    [[0, 60], /Wrong\.act.*limit.*received 0/s],
    [[20, '1 hour'], /Wrong\.act.*window.*'1 hour'/s],
    [[20, -1], /Wrong\.act.*window.*-1/s],
    [[20], /Wrong\.act.*window/s],
    [[20, 0], /Wrong\.act.*window/s],
    [[{ name: 'x', limit: 1, window: '1m', algoritm: 'gcra' }], /Wrong\.act.*algoritm.*did you mean 'algorithm'/s],
    [[{ name: 'x', limit: 1, window: '1m', burst: 5 }], /Wrong\.act.*burst/s],
    [[{ name: 'x', limit: 1, window: '1m', escalate: { after: 1 } }], /Wrong\.act.*escalate\.within.*escalate\.block/s],
    [[[]], /Wrong\.act/],
  ] as const)('refuses %j when the class is defined', (args, message) => {
    expect(() => {
      class Wrong {
        @((RateLimit as (...given: readonly unknown[]) => MethodDecorator)(...args))
        async act(): Promise<void> {
          return Promise.resolve();
        }
      }
      return Wrong;
    }).toThrow(message);
  });
});

describe.each(TRANSPORTS.filter(({ hasCallers }) => hasCallers))('@RateLimit on $name', (transport) => {
  silenceErrors();

  it.each(POSITIONS)('lets as many through as it says, %s the other decorators (RL-12)', async (position) => {
    class Subject {
      async read(argument: string): Promise<string> {
        return Promise.resolve(argument);
      }
    }
    const tested = { read: RateLimit(2, 60) as MethodDecorator };
    const reached = await openOn(transport, Subject, { tested, position, cache: { redis: false } });
    try {
      const answers = [];
      for (let i = 0; i < 3; i++) answers.push(await reached.call('read', 'hello'));
      expect(answers.slice(0, 2)).toEqual([{ value: 'hello' }, { value: 'hello' }]);
      const { error } = answers[2] as { error: string };
      expect(error).toMatch(/Too many requests|no answer/);
    } finally {
      await reached.close();
    }
  });
});
