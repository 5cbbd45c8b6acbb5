import 'reflect-metadata';
import {
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  Logger,
  Put,
  Req,
  ServiceUnavailableException,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cacheable, CacheEvict, CacheService } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

@Injectable()
class UserGuard {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
    const id = request.headers['x-user'];
    if (id !== undefined) request.user = { id };
    return true;
  }
}

@Controller()
class Pages {
  runs = 0;
  /** What a handler does before it answers. */
  work = (): Promise<unknown> => Promise.resolve();
  isBroken = false;

  @Cacheable({ ttl: '1m', scope: 'public', tags: ['pages'] })
  @Get('page')
  async page(): Promise<object> {
    const run = ++this.runs;
    await this.work();
    if (this.isBroken) throw new ServiceUnavailableException();
    return { run };
  }

  @Cacheable({ ttl: '1ms', staleWhileRevalidate: '1m', scope: 'public' })
  @Get('stale')
  async stale(): Promise<object> {
    return this.page();
  }

  @Cacheable({ ttl: '1m', grace: '1m', scope: 'user' })
  @Get('me')
  async me(@Req() { user }: { user?: { id: string } }): Promise<object> {
    return Promise.resolve({ id: user?.id, run: ++this.runs });
  }

  @CacheEvict({ tags: ['pages'] })
  @Put('page')
  async change(): Promise<object> {
    return Promise.resolve({});
  }
}

describe.each(PLATFORMS)('the response cache on %s with a server', (platform) => {
  let server: TestServers;
  let apps: Awaited<ReturnType<typeof openHttpApp>>[];
  let clients: HttpClient[];
  beforeEach(async () => {
    for (const level of ['warn', 'error', 'log'] as const) jest.spyOn(Logger.prototype, level).mockReturnValue();
    server = await startStandalone();
    const redis = { url: server.url, commandTimeout: '2s' } as const;
    apps = await Promise.all(
      [1, 2].map(() =>
        openHttpApp({
          platform,
          controllers: [Pages],
          providers: [{ provide: APP_GUARD, useClass: UserGuard }],
          cache: { redis, http: { lookupBudget: '300ms' } },
        }),
      ),
    );
    clients = await Promise.all(apps.map((app) => HttpClient.of(app)));
  });
  afterEach(async () => {
    for (const client of clients) client.close();
    await Promise.all(apps.map((app) => app.close()));
    await server.stop();
    jest.restoreAllMocks();
  });
  const pagesOf = (index: number) => apps[index]!.get(Pages);
  const runs = () => pagesOf(0).runs + pagesOf(1).runs;
  const cacheStatusOf = ({ headers }: HttpReply) => String(headers['cache-status']);

  it('runs a handler once for requests of two applications (HTTP-18)', async () => {
    for (const index of [0, 1]) pagesOf(index).work = () => sleep(300);
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, index) => clients[index % 2]!.get('/page', {}, { timeoutMs: 15_000 })),
    );
    expect(new Set(replies.map(({ text }) => text))).toEqual(new Set(['{"run":1}']));
    expect(runs()).toBe(1);
    for (const client of clients) expect((await client.get('/page')).headers['x-cache']).toBe('HIT');
  });

  it('refreshes a stale response once for both, and answers all at once (HTTP-16)', async () => {
    for (const client of clients) await client.get('/stale');
    await sleep(20);
    const before = runs();
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    for (const index of [0, 1]) pagesOf(index).work = () => ended;
    // None of them waits for the handler, which goes on for as long as it takes to answer all.
    const replies = await Promise.all(Array.from({ length: 100 }, (_, index) => clients[index % 2]!.get('/stale')));
    expect(new Set(replies.map(({ headers }) => headers['x-cache']))).toEqual(new Set(['STALE']));
    await eventually(() => expect(runs()).toBe(before + 1));
    end();
  });

  it('forgets a path for both when one of them changes it (HTTP-26)', async () => {
    for (const client of clients) await client.get('/page');
    expect(runs()).toBe(1);
    await clients[0]!.call('/page', { method: 'PUT' });
    expect((await clients[0]!.get('/page')).text).toBe('{"run":2}');
    await eventually(async () => expect((await clients[1]!.get('/page')).text).toBe('{"run":2}'));
  });

  it('goes on when the server is slow, and says so (HTTP-28)', async () => {
    await server.ask('CLIENT', 'PAUSE', '1500', 'ALL');
    const reply = await clients[0]!.get('/page');
    expect([reply.status, cacheStatusOf(reply)]).toEqual([200, '"nestjs-keep";fwd=bypass;detail=store-error']);
    expect(reply.tookMs).toBeLessThan(1_400);
  });

  it.each(['garbage', '{"a":1}', '~1V', '12'])('replaces what it cannot read: %s (HTTP-28)', async (garbage) => {
    const key = 'app:v1:http:1:Pages.page:get:127.0.0.1/page';
    await server.ask('SET', key, garbage);
    const reply = await clients[0]!.get('/page');
    expect([reply.status, cacheStatusOf(reply)]).toEqual([200, '"nestjs-keep";fwd=uri-miss;stored']);
    // The client does not wait until the response is stored.
    await eventually(async () => expect((await clients[1]!.get('/page')).headers['x-cache']).toBe('HIT'));
  });

  it.each(['garbage', '~1V', 'another kind'])(
    'leaves nothing unreadable behind a failure: %s (HTTP-28)',
    async (is) => {
      const name = 'http:1:Pages.page:get:127.0.0.1/page';
      if (is === 'another kind') await apps[1]!.get(CacheService).set(name, { a: 1 });
      else await server.ask('SET', `app:v1:${name}`, is);
      pagesOf(0).isBroken = true;
      expect((await clients[0]!.get('/page')).status).toBe(503);
      await eventually(async () => expect(await server.ask('EXISTS', `app:v1:${name}`)).toMatch(/^:0/));
      pagesOf(0).isBroken = false;
      expect((await clients[0]!.get('/page')).text).toBe('{"run":2}');
      await eventually(async () => expect((await clients[1]!.get('/page')).headers['x-cache']).toBe('HIT'));
    },
  );

  it('replaces a value of another kind under its key', async () => {
    const name = 'http:1:Pages.page:get:127.0.0.1/page';
    await apps[0]!.get(CacheService).set(name, { a: 1 });
    expect((await clients[0]!.get('/page')).text).toBe('{"run":1}');
    // The client does not wait until the response is stored.
    await eventually(async () => expect((await clients[1]!.get('/page')).headers['x-cache']).toBe('HIT'));
  });

  it('never gives a user the page of another one, also while the server is away (B35)', async () => {
    const ask = async (index: number, id: string | undefined): Promise<void> => {
      const headers = { cookie: 'a=1', ...(id === undefined ? {} : { 'x-user': id }) };
      const { status, text } = await clients[index]!.get('/me', headers);
      expect([status, (JSON.parse(text) as { id?: string }).id]).toEqual([200, id]);
    };
    const users = ['alice', 'bob', undefined, 'alice', 'bob'];
    for (const user of users) for (const index of [0, 1]) await ask(index, user);
    const asking = Promise.all(
      Array.from({ length: 60 }, (_, at) => sleep(at * 10).then(() => ask(at % 2, users[at % 5]))),
    );
    await sleep(200);
    await server.kill();
    await asking;
    for (const user of users) for (const index of [0, 1]) await ask(index, user);
    await server.restart();
    for (const user of users) for (const index of [0, 1]) await ask(index, user);
  });

  it('answers from memory, or by its handler, while the server is away', async () => {
    await clients[0]!.get('/page');
    await server.kill();
    await eventually(() => !apps[0]!.get(CacheService).isRedisAvailable());
    for (let round = 0; round < 5; round++) expect((await clients[0]!.get('/page')).status).toBe(200);
    expect(runs()).toBeLessThanOrEqual(3);
  });
});
