import 'reflect-metadata';
import {
  Controller,
  Get,
  Headers,
  InternalServerErrorException,
  Logger,
  NotFoundException,
  Res,
  ServiceUnavailableException,
  StreamableFile,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cacheable, CacheService } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';

interface Reply {
  status(code: number): Reply;
  header(name: string, value: string): Reply;
  send(body: unknown): Reply;
}

describe.each(PLATFORMS)('stale responses on %s', (platform) => {
  @Controller()
  class Pages {
    runs = 0;
    failure: Error | undefined;
    status = 0;
    waitMs = 0;
    /** What the handler waits for beside that. */
    gate: Promise<void> | undefined;
    cookie = false;
    private underWay = 0;
    /** How many runs there were at a time at most. */
    mostUnderWay = 0;

    private async page(): Promise<object> {
      const run = ++this.runs;
      this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
      await sleep(this.waitMs);
      await this.gate;
      this.underWay--;
      if (this.failure !== undefined) throw this.failure;
      return { run };
    }

    @Cacheable({ ttl: '1ms', staleWhileRevalidate: '1h' })
    @Get('swr')
    async swr(@Res({ passthrough: true }) reply: Reply): Promise<object> {
      reply.header('x-run', String(this.runs + 1));
      if (this.cookie) reply.header('set-cookie', 'a=1');
      if (this.status > 0) reply.status(this.status);
      return this.page();
    }

    @Cacheable({ ttl: '1ms', staleWhileRevalidate: '1h' })
    @Get('by-hand')
    async byHand(@Res() reply: Reply): Promise<void> {
      reply.send(await this.page());
    }

    @Cacheable({ ttl: '1ms', staleWhileRevalidate: '1h' })
    @Get('file')
    file(): StreamableFile {
      return new StreamableFile(Buffer.from(`file ${++this.runs}`), { type: 'text/plain' });
    }

    @Cacheable({ ttl: '1ms', grace: '1h' })
    @Get('grace')
    async grace(@Res({ passthrough: true }) reply: Reply): Promise<object> {
      if (this.status > 0) reply.status(this.status);
      return this.page();
    }

    @Cacheable({ ttl: '1ms', grace: '1h' })
    @Get('grace-by-hand')
    async graceByHand(@Res() reply: Reply): Promise<void> {
      const page = await this.page();
      reply
        .status(this.status === 0 ? 200 : this.status)
        .header('x-any', 'own')
        .send(page);
    }

    @Cacheable({ ttl: '1ms', grace: '1h', staleWhileRevalidate: true })
    @Get('forbidden')
    async forbidden(@Res({ passthrough: true }) reply: Reply): Promise<object> {
      reply.header('cache-control', 'max-age=1, must-revalidate');
      return this.page();
    }

    @Cacheable('1m')
    @Get('early')
    async early(): Promise<object> {
      return this.page();
    }

    @Cacheable({ ttl: '2s', earlyRefresh: 0 })
    @Get('soon')
    async soon(): Promise<object> {
      return this.page();
    }

    @Cacheable({ ttl: '400ms', jitter: 0, earlyRefresh: 0 })
    @Get('sooner')
    async sooner(): Promise<object> {
      return this.page();
    }

    @Cacheable({ ttl: '1300ms', jitter: 0 })
    @Get('aged')
    async aged(@Res({ passthrough: true }) reply: Reply): Promise<object> {
      reply.header('age', '1');
      return this.page();
    }

    @Cacheable({ ttl: '1m', staleWhileRevalidate: '1m', tags: ['tagged'] })
    @Get('tagged')
    async tagged(): Promise<object> {
      return this.page();
    }

    @Cacheable('1m')
    @Get('language')
    async language(
      @Headers('accept-language') language: string,
      @Res({ passthrough: true }) reply: Reply,
    ): Promise<object> {
      reply.header('vary', 'Accept-Language');
      return { language, ...(await this.page()) };
    }

    @Cacheable({ ttl: '1m', vary: ['X-Tenant'] })
    @Get('tenant')
    async tenant(@Headers('x-tenant') tenant: string): Promise<object> {
      return { tenant, ...(await this.page()) };
    }

    @Cacheable('1m')
    @Get('cookie')
    async setsCookie(@Res({ passthrough: true }) reply: Reply): Promise<object> {
      const page = await this.page();
      if (this.cookie) reply.header('set-cookie', `id=${this.runs}`);
      return page;
    }
  }

  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  let pages: Pages;
  let error: jest.SpyInstance;
  beforeEach(async () => {
    error = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    app = await openHttpApp({ platform, controllers: [Pages], cache: { http: { reloadFloor: '0ms' } } });
    client = await HttpClient.of(app);
    pages = app.get(Pages);
  });
  afterEach(async () => {
    client.close();
    await app.close();
    error.mockRestore();
  });
  const cacheStatusOf = ({ headers }: HttpReply) => String(headers['cache-status']);
  const runOf = ({ text }: HttpReply) => (JSON.parse(text) as { run: number }).run;

  it.each(['swr', 'by-hand'])('are answered at once while one run makes a new one: %s (HTTP-16)', async (path) => {
    await client.get(`/${path}`);
    let open = (): void => undefined;
    pages.gate = new Promise((resolve) => (open = resolve));
    await sleep(20);
    // None of them waits for the handler, which goes on until all are answered.
    const stale = await Promise.all(Array.from({ length: 20 }, () => client.get(`/${path}`)));
    for (const reply of stale) {
      expect(runOf(reply)).toBe(1);
      expect(cacheStatusOf(reply)).toMatch(/^"nestjs-keep";hit;ttl=-\d+$/);
      expect(reply.headers['x-cache']).toBe('STALE');
    }
    await eventually(() => expect(pages.runs).toBe(2));
    pages.gate = undefined;
    open();
    await eventually(async () => expect(runOf(await client.get(`/${path}`))).toBeGreaterThan(1));
  });

  it('are refreshed with their headers, as a whole, whatever the client already has', async () => {
    const first = await client.get('/swr');
    await sleep(20);
    const stale = await client.get('/swr', { 'if-none-match': String(first.headers.etag) });
    expect([stale.status, stale.headers['x-cache']]).toEqual([304, 'STALE']);
    await eventually(async () => expect((await client.get('/swr')).headers['x-run']).not.toBe('1'));
    const refreshed = await client.get('/swr');
    expect(refreshed.headers['x-run']).toBe(String(runOf(refreshed)));
    expect(refreshed.headers.etag).not.toBe(first.headers.etag);
  });

  it('are refreshed from streams', async () => {
    expect((await client.get('/file')).text).toBe('file 1');
    await eventually(async () => expect((await client.get('/file')).text).not.toBe('file 1'));
  });

  it('stay when their refresh fails, and the handler has some rest (HTTP-16)', async () => {
    await client.get('/swr');
    pages.failure = new InternalServerErrorException();
    await sleep(20);
    for (let round = 0; round < 5; round++) {
      expect(runOf(await client.get('/swr'))).toBe(1);
      await sleep(10);
    }
    expect(pages.runs).toBe(2);
    pages.failure = undefined;
    await eventually(async () => expect(runOf(await client.get('/swr'))).toBeGreaterThan(2));
  });

  it('stay when their refresh cannot be stored', async () => {
    await client.get('/swr');
    pages.cookie = true;
    await sleep(20);
    await client.get('/swr');
    await eventually(() => pages.runs === 2);
    const reply = await client.get('/swr');
    expect([runOf(reply), reply.headers['set-cookie']]).toEqual([1, undefined]);
  });

  it.each([
    ['an error', 'grace', new Error('the database is away'), 0, 500],
    ['an unavailable service', 'grace', new ServiceUnavailableException(), 0, 503],
    ['a status', 'grace', undefined, 502, 502],
    ['a status by hand', 'grace-by-hand', undefined, 504, 504],
  ])('hide %s (HTTP-17)', async (_, path, failure, status, seen) => {
    const first = await client.get(`/${path}`);
    await sleep(20);
    Object.assign(pages, { failure, status });
    for (let round = 0; round < 2; round++) {
      const reply = await client.get(`/${path}`);
      expect([reply.status, reply.text]).toEqual([200, first.text]);
      expect(cacheStatusOf(reply)).toBe(`"nestjs-keep";fwd=stale;fwd-status=${seen};detail=stale-if-error`);
      expect(reply.headers['x-cache']).toBe('STALE');
      expect(reply.headers['content-type']).toBe(first.headers['content-type']);
    }
    Object.assign(pages, { failure: undefined, status: 0 });
    expect(cacheStatusOf(await client.get(`/${path}`))).toBe('"nestjs-keep";fwd=stale;stored');
  });

  it('hide nothing that the client did wrong, and no status that is no outage (HTTP-17)', async () => {
    await client.get('/grace');
    await sleep(20);
    pages.failure = new NotFoundException();
    expect((await client.get('/grace')).status).toBe(404);
    pages.failure = undefined;
    pages.status = 501;
    expect((await client.get('/grace')).status).toBe(501);
  });

  it('hide nothing from a client that does not want it hidden (HTTP-17)', async () => {
    await client.get('/grace');
    await sleep(20);
    pages.failure = new ServiceUnavailableException();
    expect((await client.get('/grace', { 'cache-control': 'stale-if-error=0' })).status).toBe(503);
    expect((await client.get('/grace', { 'cache-control': 'stale-if-error=60' })).status).toBe(200);
  });

  it('are not served where the response forbids it (HTTP-15)', async () => {
    await client.get('/forbidden');
    await sleep(1_050);
    expect(runOf(await client.get('/forbidden'))).toBe(2);
    pages.failure = new ServiceUnavailableException();
    await sleep(1_050);
    for (const wish of ['max-stale', 'stale-if-error=60']) {
      expect((await client.get('/forbidden', { 'cache-control': wish })).status).toBe(503);
    }
  });

  it('are what a client gets that does not mind (max-stale)', async () => {
    await client.get('/grace');
    await sleep(20);
    expect(runOf(await client.get('/grace', { 'cache-control': 'max-stale=60' }))).toBe(1);
    expect(runOf(await client.get('/grace'))).toBe(2);
  });

  it('are made anew for a client that wants it so, once for all who want it now (HTTP-13)', async () => {
    await client.get('/early');
    pages.waitMs = 100;
    const headers = { 'cache-control': 'no-cache' };
    const replies = await Promise.all(Array.from({ length: 10 }, () => client.get('/early', headers)));
    expect(pages.runs).toBeLessThanOrEqual(3);
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
  });

  it('need not come about where responses are refreshed early (HTTP-35)', async () => {
    await client.get('/soon');
    await eventually(async () => {
      expect((await client.get('/soon')).headers['x-cache']).toBe('HIT');
      expect(pages.runs).toBeGreaterThan(1);
    });
  });

  it.each(['/sooner', '/swr'])(
    'are not refreshed for HEAD, whose responses have no body: %s (HTTP-06)',
    async (path) => {
      await client.get(path);
      const end = performance.now() + 350;
      while (performance.now() < end) {
        const { runs } = pages;
        const { status, headers } = await client.call(path, { method: 'HEAD' });
        expect([status, headers['content-length']]).toEqual([200, '9']);
        if (headers['x-cache'] === 'MISS') break;
        expect(runs).toBe(1);
      }
      expect((await client.get(path)).text).toMatch(/^\{"run":\d\}$/);
    },
  );

  it('come about by tags, too', async () => {
    await client.get('/tagged');
    await app.get(CacheService).expireByTag('tagged');
    expect(cacheStatusOf(await client.get('/tagged'))).toMatch(/hit;ttl=-?0$/);
    await eventually(async () => expect(runOf(await client.get('/tagged'))).toBe(2));
    expect((await client.get('/tagged')).headers['x-cache']).toBe('HIT');
  });

  it('are made anew when they are too old, the age that they came with included (HTTP-22)', async () => {
    expect(runOf(await client.get('/aged'))).toBe(1);
    await sleep(320);
    expect(runOf(await client.get('/aged'))).toBe(2);
  });

  it('each language has its own response (HTTP-12)', async () => {
    for (let round = 0; round < 2; round++) {
      for (const [index, language] of ['en', 'fr', 'de'].entries()) {
        const reply = await client.get('/language', { 'accept-language': language });
        expect(JSON.parse(reply.text)).toEqual({ language, run: index + 1 });
        const kind = round === 1 ? 'hit;ttl=' : index === 0 ? 'fwd=uri-miss;stored' : 'fwd=vary-miss;stored';
        expect(cacheStatusOf(reply)).toContain(kind);
      }
    }
    await app.get(CacheService).delPattern('http:1:Pages.language:*');
    expect(runOf(await client.get('/language', { 'accept-language': 'fr' }))).toBe(4);
  });

  it('of other variants are not what a waiting request gets (HTTP-18)', async () => {
    pages.waitMs = 100;
    const languages = ['en', 'fr', 'en', 'fr', 'en'];
    const replies = await Promise.all(
      languages.map((language) => client.get('/language', { 'accept-language': language })),
    );
    expect(replies.map(({ text }) => (JSON.parse(text) as { language: string }).language)).toEqual(languages);
  });

  it('vary on what the route says, and tell others so', async () => {
    const replies = [];
    for (const tenant of ['a', 'b', 'a', 'b']) replies.push(await client.get('/tenant', { 'x-tenant': tenant }));
    expect(replies.map(runOf)).toEqual([1, 2, 1, 2]);
    expect(replies.map(({ headers }) => headers.vary)).toEqual(Array(4).fill('x-tenant'));
  });

  it('have at most 32 variants (HTTP-12)', async () => {
    for (let variant = 0; variant < 40; variant++) await client.get('/tenant', { 'x-tenant': String(variant) });
    await eventually(async () => {
      const count = await app.get(CacheService).delPattern('http:1:Pages.tenant:*~*');
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThanOrEqual(32);
    });
  });

  it('of too many the one that was not asked for longest leaves (HTTP-12)', async () => {
    const ask = (tenant: number) => client.get('/tenant', { 'x-tenant': String(tenant) });
    const kept = async (tenant: number) => (await ask(tenant)).headers['x-cache'];
    for (let tenant = 0; tenant <= 32; tenant++) await ask(tenant);
    await eventually(async () => expect(await kept(1)).toBe('HIT'));
    await ask(33);
    await eventually(async () => expect(await kept(33)).toBe('HIT'));
    expect([await kept(0), await kept(1), await kept(2)]).toEqual(['HIT', 'HIT', 'MISS']);
  });

  it('where a response cannot be stored nobody waits for it, until one can (HTTP-18)', async () => {
    pages.cookie = true;
    pages.waitMs = 100;
    const replies = await Promise.all(Array.from({ length: 5 }, () => client.get('/cookie')));
    expect(pages.runs).toBe(5);
    expect(new Set(replies.map(({ text }) => text)).size).toBe(5);
    expect(cacheStatusOf(await client.get('/cookie'))).toBe('"nestjs-keep";fwd=bypass;detail=hit-for-miss');
    pages.mostUnderWay = 0;
    pages.waitMs = 300;
    await Promise.all(Array.from({ length: 5 }, () => client.get('/cookie')));
    expect(pages.mostUnderWay).toBe(5);
    pages.cookie = false;
    expect(cacheStatusOf(await client.get('/cookie'))).toBe('"nestjs-keep";fwd=uri-miss;stored');
    expect((await client.get('/cookie')).headers['x-cache']).toBe('HIT');
  });

  it('a client that goes away leaves the run to those who wait for it', async () => {
    pages.waitMs = 300;
    const gone = client.get('/early', {}, { timeoutMs: 100 });
    await eventually(() => pages.runs === 1);
    const waiting = client.get('/early');
    await expect(gone).rejects.toThrow('no answer');
    expect(runOf(await waiting)).toBe(1);
    expect(pages.runs).toBe(1);
  });
});
