import 'reflect-metadata';
import { Controller, Get, HttpException, type INestApplication, Logger, Render, Res } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import crypto from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cacheable } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HttpClient } from '../support/http-client.ts';
import { openHttpApp, type Platform, PLATFORMS } from '../support/http-app.ts';

interface Reply {
  header(name: string, value: string): Reply;
}

@Controller()
class Pages {
  runs = 0;
  status = 200;

  @Cacheable({ ttl: '1m', scope: 'public' })
  @Get('page')
  page(): object {
    return { run: ++this.runs };
  }

  @Cacheable({ ttl: '1m', cookies: ['theme'], tags: ['pages', 'page:{query.id}'] })
  @Get('themed')
  themed(@Res({ passthrough: true }) reply: Reply): object {
    reply.header('vary', 'Accept-Language');
    return { run: ++this.runs };
  }

  @Cacheable({ ttl: '1ms', staleWhileRevalidate: '1h', statuses: { 404: '1ms' } })
  @Get('stale')
  stale(): object {
    this.runs++;
    if (this.status !== 200) throw new HttpException('no', this.status);
    return { run: this.runs };
  }

  @Cacheable('1m')
  @Render('page')
  @Get('rendered')
  rendered(): object {
    return { run: ++this.runs };
  }
}

/** Notes what an access log would: each response, once, with its status and a header. */
function watch(app: INestApplication, platform: Platform, log: string[], views: string): void {
  if (platform === 'express') {
    app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
      response.on('finish', () =>
        log.push(`${request.url} ${response.statusCode} ${String(response.getHeader('x-cache'))}`),
      );
      next();
    });
    const render = (_: string, { run }: { run: number }, done: (error: null, html: string) => void) =>
      done(null, `<p>${run}</p>`);
    (app as NestExpressApplication).engine('html', render);
    (app as NestExpressApplication).set('view engine', 'html').set('views', views);
  } else {
    const fastify = (app as NestFastifyApplication).getHttpAdapter().getInstance();
    fastify.addHook('onResponse', (request, reply, done) => {
      const said = reply.raw.getHeader('x-cache') ?? reply.getHeader('x-cache');
      log.push(`${request.url} ${reply.statusCode} ${String(said)}`);
      done();
    });
  }
}

describe.each(PLATFORMS)('a hit on %s', (platform) => {
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  const log: string[] = [];
  const views = mkdtempSync(join(tmpdir(), 'nestjs-keep-test-'));
  writeFileSync(join(views, 'page.html'), '');
  afterAll(() => rmSync(views, { recursive: true }));
  beforeEach(async () => {
    for (const level of ['warn', 'error'] as const) jest.spyOn(Logger.prototype, level).mockReturnValue();
    log.length = 0;
    app = await openHttpApp({
      platform,
      controllers: [Pages],
      configure: (opening) => watch(opening, platform, log, views),
    });
    client = await HttpClient.of(app);
  });
  afterEach(async () => {
    client.close();
    await app.close();
    jest.restoreAllMocks();
  });

  it.each(['/page', '/themed?id=7'])('parses, serialises and hashes nothing: %s (HTTP-32)', async (path) => {
    const headers = { cookie: 'theme=dark', 'accept-language': 'en' };
    for (let round = 0; round < 2; round++) await client.get(path, headers);
    const spies = [
      ...[jest.spyOn(JSON, 'parse'), jest.spyOn(JSON, 'stringify')],
      ...[jest.spyOn(crypto, 'createHash'), jest.spyOn(crypto, 'createHmac')],
    ];
    const replies = [await client.get(path, headers), await client.get(path, { ...headers, 'if-none-match': '*' })];
    const calls = spies.map((spy) => spy.mock.calls.length);
    expect(replies.map(({ headers }) => headers['x-cache'])).toEqual(['HIT', 'HIT']);
    expect(calls).toEqual([0, 0, 0, 0]);
  });

  it('is in the access log, once, as the client sees it (HTTP-34)', async () => {
    await client.get('/page');
    await client.get('/page');
    await client.get('/page', { 'if-none-match': '*' });
    await client.call('/page', { method: 'HEAD' });
    await eventually(() => expect(log).toEqual(['/page 200 MISS', '/page 200 HIT', '/page 304 HIT', '/page 200 HIT']));
  });

  it('is there as the stale response that it is, whatever comes of its refresh (HTTP-34)', async () => {
    const pages = app.get(Pages);
    const { etag } = (await client.get('/stale')).headers;
    pages.status = 404;
    expect((await client.get('/stale')).status).toBe(200);
    await eventually(async () => expect((await client.get('/stale')).status).toBe(404));
    pages.status = 500;
    const before = pages.runs;
    expect((await client.get('/stale')).status).toBe(404);
    await eventually(() => expect(pages.runs).toBeGreaterThan(before));
    expect((await client.get('/stale', { 'if-none-match': etag })).status).toBe(404);
    await eventually(() => expect(log.slice(-2)).toEqual(['/stale 404 STALE', '/stale 404 STALE']));
    expect(log.slice(0, 2)).toEqual(['/stale 200 MISS', '/stale 200 STALE']);
    expect(log.filter((line) => line.includes(' 500 '))).toEqual([]);
  });

  if (platform === 'express') {
    it('is a page that a view has made (HTTP-05)', async () => {
      const replies = [await client.get('/rendered'), await client.get('/rendered')];
      expect(replies.map(({ text, headers }) => [text, headers['content-type'], headers['x-cache']])).toEqual([
        ['<p>1</p>', 'text/html; charset=utf-8', 'MISS'],
        ['<p>1</p>', 'text/html; charset=utf-8', 'HIT'],
      ]);
    });
  }
});
