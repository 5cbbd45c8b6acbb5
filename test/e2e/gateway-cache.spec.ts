import 'reflect-metadata';
import { All, Controller, Logger } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Telemetry } from '../../src/common/telemetry.ts';
import { CacheService } from '../../src/index.ts';
import { Forward, GatewayModule } from '../../src/gateway/index.ts';
import { ChaosUpstream } from '../support/chaos-upstream.ts';
import { eventually } from '../support/eventually.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

@Controller()
class Services {
  @All('shop/*path')
  @Forward('shop')
  shop(): void {
    // The gateway answers.
  }

  @All('graceless/*path')
  @Forward('graceless')
  graceless(): void {
    // The gateway answers.
  }

  @All('plain/*path')
  @Forward('plain')
  plain(): void {
    // The gateway answers.
  }
}

const MODES = [
  ...PLATFORMS.map((platform) => ({ platform, mode: 'a server', isShared: true })),
  { platform: 'express', mode: 'memory', isShared: false },
] as const;

/** Asks until the answer is the expected one. */
async function until(client: HttpClient, path: string, isRight: (reply: HttpReply) => boolean): Promise<HttpReply> {
  let reply: HttpReply | undefined;
  await eventually(async () => isRight((reply = await client.get(path))));
  return reply!;
}

describe.each(MODES)('the cache of the gateway on $platform, with $mode', ({ platform, isShared }) => {
  let server: TestServers | undefined;
  let chaos: ChaosUpstream;
  let apps: Awaited<ReturnType<typeof openHttpApp>>[];
  let clients: HttpClient[];
  let paths = 0;
  beforeAll(async () => {
    for (const level of ['warn', 'error', 'log'] as const) jest.spyOn(Logger.prototype, level).mockReturnValue();
    chaos = await ChaosUpstream.start();
    server = isShared ? await startStandalone() : undefined;
    apps = [];
    clients = [];
    for (let count = 0; count < (isShared ? 2 : 1); count++) {
      const own = { origin: chaos.origin, allowPrivate: true, retry: false, breaker: false } as const;
      const app = await openHttpApp({
        platform,
        ...(platform === 'fastify' && { adapter: new FastifyAdapter({ trustProxy: true }) }),
        configure: (opening) => {
          if (platform === 'express') (opening as NestExpressApplication).set('trust proxy', true);
        },
        controllers: [Services],
        imports: [
          GatewayModule.forRoot({
            upstreams: {
              ...{ shop: own, plain: { ...own, cache: { default: '1m' } } },
              graceless: { ...own, cache: { grace: '0ms' } },
            },
          }),
        ],
        cache: {
          ...(server && { redis: { url: server.url, commandTimeout: '2s' } }),
          http: { lookupBudget: '2s', reloadFloor: '0ms' },
          cache: { jitter: 0 },
        },
      });
      apps.push(app);
      clients.push(await HttpClient.of(app));
    }
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all(apps.map((app) => app.close()));
    await chaos.close();
    await server?.stop();
  });

  /** The application that has stored something, and one that has to find it: the same one in memory. */
  const ends = (): [HttpClient, HttpClient] => [clients[0]!, clients.at(-1)!];

  /** A page of its own for each test, which counts how often it was made. */
  const page = (
    headers: Record<string, string>,
    act?: (request: IncomingMessage, response: ServerResponse) => unknown,
  ) => {
    const path = `/page-${platform}-${++paths}`;
    let made = 0;
    chaos.behaviours[path] = (request, response) => {
      made++;
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      if (act?.(request, response) !== undefined) return;
      const { authorization = '', cookie = '' } = request.headers;
      response.end(`page ${made} for ${authorization}${cookie}`);
    };
    return { path: `/shop${path}`, plain: `/plain${path}`, graceless: `/graceless${path}`, made: () => made };
  };

  it('answers from one process what another one has stored, header for header', async () => {
    const { path, made } = page({ 'cache-control': 'max-age=60', 'x-own': 'yes', etag: '"1"' });
    const [writer, reader] = ends();
    const first = await writer.get(path);
    const second = await until(reader, path, ({ headers }) => headers['x-cache'] === 'HIT');
    expect(made()).toBe(1);
    expect(second.text).toBe(first.text);
    for (const name of ['x-own', 'etag', 'date', 'cache-control'])
      expect(second.headers[name]).toBe(first.headers[name]);
    expect(second.headers['cache-status']).toMatch(/^"nestjs-keep";hit;ttl=5\d$/);
    expect(second.headers.age).toMatch(/^\d$/);
    expect((await reader.get(path, { 'if-none-match': '"1"' })).status).toBe(304);
    expect((await reader.call(path, { method: 'HEAD' })).headers['x-cache']).toBe('HIT');
    expect(made()).toBe(1);
  });

  it('asks the upstream once for all who ask at the same time', async () => {
    const { path, made } = page({ 'cache-control': 'max-age=60' }, (_, response) => {
      setTimeout(() => response.end('slow'), 300);
      return true;
    });
    const replies = await Promise.all(Array.from({ length: 40 }, (_, at) => clients[at % clients.length]!.get(path)));
    expect(new Set(replies.map(({ text, status }) => `${status} ${text}`))).toEqual(new Set(['200 slow']));
    expect(made()).toBe(1);
  });

  it.each(['if-none-match', 'if-modified-since'])(
    'asks for the whole of what a client has already: %s',
    async (name) => {
      const modified = 'Sat, 01 Nov 2025 00:00:00 GMT';
      const validators = { etag: '"v"', 'last-modified': modified };
      const { path, made } = page({ 'cache-control': 'max-age=60', ...validators }, ({ headers }, response) =>
        headers[name] === undefined ? undefined : response.writeHead(304).end(),
      );
      const [writer, reader] = ends();
      const own = await writer.get(path, { [name]: name === 'if-none-match' ? '"v"' : modified });
      expect([own.status, own.text]).toEqual([304, '']);
      const other = await until(reader, path, ({ headers }) => headers['x-cache'] === 'HIT');
      expect([other.text, made()]).toEqual(['page 1 for ', 1]);
    },
  );

  it('asks whether a stale response is still right, and updates what it says', async () => {
    const { path, made } = page({}, ({ headers }, response) => {
      response.setHeader('etag', '"v"').setHeader('cache-control', 'max-age=1');
      if (headers['if-none-match'] !== '"v"') return undefined;
      return response.writeHead(304, { 'x-new': 'yes' }).end();
    });
    const [writer, reader] = ends();
    const { text } = await writer.get(path);
    await sleep(1_100);
    const renewed = await until(reader, path, ({ headers }) => headers['x-new'] === 'yes');
    expect(renewed.text).toBe(text);
    expect(renewed.headers['cache-status']).toBe('"nestjs-keep";fwd=stale;fwd-status=304;stored');
    expect(made()).toBe(2);
  });

  it('answers a stale response at once while one request asks for a new one', async () => {
    const { path, made } = page({ 'cache-control': 'max-age=1, stale-while-revalidate=60' });
    const [, reader] = ends();
    await reader.get(path);
    await sleep(1_100);
    const replies = await Promise.all(Array.from({ length: 10 }, () => reader.get(path)));
    expect(new Set(replies.map(({ text }) => text))).toEqual(new Set(['page 1 for ']));
    await eventually(async () => (await reader.get(path)).text === 'page 2 for ');
    expect(made()).toBe(2);
  });

  it.each([{ authorization: 'Bearer ' }, { cookie: 'user=' }])(
    'never shows one user what was made for another: %j',
    async (credentials) => {
      const [[name, value]] = Object.entries(credentials) as [[string, string]];
      const { path, plain } = page({ 'cache-control': 'max-age=60' });
      for (const route of [path, plain]) {
        const anybody = await ends()[0].get(route);
        for (const user of ['ada', 'bob', 'ada']) {
          for (const client of clients) {
            const { text } = await client.get(route, { [name]: value + user });
            expect(text).toMatch(new RegExp(`for ${value}${user}$`));
          }
        }
        expect((await ends()[1].get(route)).text).toBe(anybody.text);
      }
    },
  );

  it.each([{ authorization: 'Bearer ' }, { cookie: 'user=' }])(
    'never shows anybody what was made for the user who came first: %j',
    async (credentials) => {
      const [[name, value]] = Object.entries(credentials) as [[string, string]];
      const { path, plain } = page({ 'cache-control': 'max-age=60' });
      for (const route of [path, plain]) {
        await ends()[0].get(route, { [name]: `${value}ada` });
        for (const client of clients) expect((await client.get(route)).text).toMatch(/^page \d for $/);
      }
    },
  );

  it('keeps nothing that was made for a user and does not say how long it is for all (GW-08)', async () => {
    const { plain, made } = page({ 'cache-control': 'public' });
    const ada = { authorization: 'Bearer ada' };
    for (let call = 0; call < 2; call++) expect((await ends()[1].get(plain, ada)).headers['x-cache']).not.toBe('HIT');
    expect(made()).toBe(2);
  });

  it('answers no request with a body from the store, which its address does not tell', async () => {
    const { path, made } = page({ 'cache-control': 'max-age=60' });
    const call = { headers: { 'content-length': '1' }, body: 'x' };
    for (let count = 1; count <= 2; count++) {
      expect((await ends()[0].call(path, call)).headers['x-cache']).toBe('BYPASS');
      expect(made()).toBe(count);
    }
  });

  it('asks for each client what it may answer nobody with unasked', async () => {
    const headers = { 'cache-control': 'no-cache', etag: '"1"' };
    const { path, made } = page(headers, (_, response) => sleep(100).then(() => response.end('any')));
    const replies = await Promise.all([1, 2, 3].map(() => ends()[1].get(path)));
    expect(replies.map(({ text }) => text)).toEqual(['any', 'any', 'any']);
    expect(made()).toBeGreaterThan(1);
  });

  it('keeps apart what an upstream is told of scheme and host', async () => {
    const told: IncomingMessage['headers'][] = [];
    const { path, made } = page({ 'cache-control': 'max-age=60' }, ({ headers }) => void told.push(headers));
    const said = ['http', 'https'].flatMap((scheme) => ['a.example', 'b.example'].map((host) => [scheme, host]));
    for (let round = 0; round < 2; round++) {
      for (const [scheme, host] of said) {
        await ends()[1].get(path, { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': scheme, host });
      }
    }
    expect(made()).toBe(4);
    // A trusted proxy is believed, and named itself.
    expect(told.map((headers) => [headers['x-forwarded-proto'], headers['x-forwarded-host']])).toEqual(said);
    expect(new Set(told.map((headers) => headers['x-forwarded-for']))).toEqual(new Set(['192.0.2.1, 127.0.0.1']));
  });

  it('answers users with what is declared to be for all', async () => {
    const { path, made } = page({ 'cache-control': 'public, max-age=60' });
    await ends()[1].get(path, { authorization: 'Bearer ada' });
    expect((await ends()[1].get(path, { authorization: 'Bearer bob' })).text).toBe('page 1 for Bearer ada');
    expect(made()).toBe(1);
  });

  it.each(['no-store', 'private, max-age=60'])('does not keep what may not be kept: %s', async (control) => {
    const { path, plain, made } = page({ 'cache-control': control });
    for (const route of [path, plain, plain]) expect((await ends()[1].get(route)).headers['x-cache']).not.toBe('HIT');
    expect(made()).toBe(3);
  });

  it.each([
    [200, 'fwd=uri-miss;stored'],
    [203, 'fwd=uri-miss;stored=?0;detail=no-cache'],
    [404, 'fwd=uri-miss;stored=?0;detail=no-cache'],
  ])('keeps of what is out of date at once only pages, to ask about them: %d', async (status, said) => {
    const { graceless } = page({ 'cache-control': 'max-age=0', etag: '"v"' }, (_, response) => {
      response.statusCode = status;
    });
    expect((await ends()[0].get(graceless)).headers['cache-status']).toBe(`"nestjs-keep";${said}`);
  });

  it('keeps what says nothing for as long as the upstream is said to', async () => {
    const { path, plain, made } = page({});
    for (let call = 0; call < 2; call++) await ends()[1].get(path);
    expect(made()).toBe(2);
    for (let call = 0; call < 3; call++) await ends()[1].get(plain);
    expect(made()).toBe(3);
  });

  it('keeps what is coded for one client from another, also where the upstream does not say that it varies', async () => {
    const { path } = page({ 'cache-control': 'max-age=60' }, ({ headers }, response) => {
      const isCoded = headers['accept-encoding'] === 'gzip';
      if (isCoded) response.setHeader('content-encoding', 'gzip');
      return response.end(isCoded ? gzipSync('coded') : 'plain');
    });
    const asked = { 'accept-encoding': 'gzip' };
    for (const kind of ['MISS', 'HIT']) {
      const [coded, plain] = [await ends()[1].get(path, asked), await ends()[1].get(path)];
      expect([gunzipSync(coded.body).toString(), plain.text]).toEqual(['coded', 'plain']);
      expect([coded, plain].map(({ headers }) => headers['x-cache'])).toEqual([kind, kind]);
    }
  });

  it('keeps one response for each variant', async () => {
    const { path, made } = page({ 'cache-control': 'max-age=60', vary: 'x-tenant' });
    for (const tenant of ['a', 'b', 'a', 'b']) await ends()[1].get(path, { 'x-tenant': tenant });
    expect(made()).toBe(2);
    // A header that does not reach the upstream may not choose what is stored for those who send it.
    const smuggled = { 'x-tenant': 'a', connection: 'x-tenant' };
    expect((await ends()[1].get(path, smuggled)).text).toBe('page 3 for ');
  });

  it('forgets what was changed, or has a tag that was invalidated, in all processes', async () => {
    const { path } = page({ 'cache-control': 'max-age=60', 'cache-tag': `shop-${platform}` }, ({ method }, response) =>
      method === 'GET' ? undefined : response.writeHead(204).end(),
    );
    const [writer, reader] = ends();
    // A response is kept once it has been sent: the next request may still be too early for it.
    const kept = async () => {
      let text = '';
      await eventually(async () => {
        const reply = await reader.get(path);
        text = reply.text;
        return reply.headers['x-cache'] === 'HIT';
      });
      return text;
    };
    expect((await writer.get(path)).headers['cache-tag']).toBeUndefined();
    const first = await kept();
    await writer.call(path, { method: 'POST', body: 'x' });
    await eventually(async () => (await reader.get(path)).text !== first);
    const second = await kept();
    await apps[0]!.get(CacheService).delByTag(`shop-${platform}`);
    await eventually(async () => (await reader.get(path)).text !== second);
    expect(new Set([first, second, await kept()]).size).toBe(3);
  });

  it('serves what it has when the upstream fails, unless that is forbidden', async () => {
    let isBroken = false;
    const act = (_: IncomingMessage, response: ServerResponse) =>
      isBroken ? response.writeHead(500).end() : undefined;
    const may = page({ 'cache-control': 'max-age=1' }, act);
    const mayNot = page({ 'cache-control': 'max-age=1, must-revalidate' }, act);
    const [, reader] = ends();
    await reader.get(may.path);
    await reader.get(mayNot.path);
    isBroken = true;
    await sleep(1_100);
    const reply = await reader.get(may.path);
    expect([reply.status, reply.text]).toEqual([200, 'page 1 for ']);
    expect(reply.headers['cache-status']).toBe('"nestjs-keep";fwd=stale;fwd-status=500;detail=stale-if-error');
    expect((await reader.get(mayNot.path)).status).toBe(500);
    const head = await reader.call(may.path, { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '11', '']);
    expect(head.headers['cache-status']).toBe(reply.headers['cache-status']);
    expect((await reader.call(mayNot.path, { method: 'HEAD' })).status).toBe(500);
  });

  it('does not serve what it has when the upstream fails and that was never meant to be, whatever a client says', async () => {
    let isBroken = false;
    const { graceless } = page({ 'cache-control': 'max-age=0', etag: '"v"' }, (_, response) =>
      isBroken ? response.writeHead(500).end('broken') : undefined,
    );
    expect((await ends()[1].get(graceless)).headers['cache-status']).toBe('"nestjs-keep";fwd=uri-miss;stored');
    await sleep(20);
    isBroken = true;
    const reply = await ends()[1].get(graceless, { 'cache-control': 'stale-if-error=600' });
    expect([reply.status, reply.text]).toEqual([500, 'broken']);
  });

  it('counts what is not kept, by the reason', async () => {
    const { notStored } = apps[0]!.get(Telemetry);
    const counted = () => Object.fromEntries([...notStored].map(([reason, { n }]) => [reason, n]));
    const before = counted();
    const [writer] = ends();
    const broken = page({ 'cache-control': 'max-age=60', 'content-length': '14' }, (_, response) => {
      response.write('half');
      return setTimeout(() => response.socket?.destroy(), 50);
    });
    await expect(writer.get(broken.path)).rejects.toThrow(/aborted|ECONNRESET/);
    const kinds = [{ 'cache-control': 'private' }, { 'set-cookie': 'a=1' }, { 'set-cookie': 'b=2' }, { vary: '*' }];
    for (const kind of kinds) await writer.get(page({ 'cache-control': 'max-age=60', ...kind }).path);
    await writer.get(page({ 'cache-control': 'max-age=60' }).path);
    const added = Object.entries(counted()).map(([reason, n]) => [reason, n - (before[reason] ?? 0)]);
    expect(Object.fromEntries(added.filter(([, n]) => n !== 0))).toEqual({
      ...{ private: 1, 'set-cookie': 2, vary: 1, aborted: 1 },
    });
  });

  it('leaves an upstream alone with its client, unless nearly all is there (GW-09)', async () => {
    let goOn = (): void => undefined;
    const going = new Promise<void>((resolve) => (goOn = resolve));
    const begun = (bytes: number) =>
      page({ 'cache-control': 'max-age=60', 'content-length': '1000' }, (_, response) => {
        response.write('x'.repeat(bytes));
        return going.then(() => response.end('x'.repeat(1000 - bytes)));
      });
    const [little, much] = [begun(700), begun(900)];
    const [writer, reader] = ends();
    const before = chaos.abandoned;
    for (const { path } of [little, much]) {
      await expect(writer.get(path, {}, { timeoutMs: 150 })).rejects.toThrow('no answer');
    }
    await eventually(() => expect(chaos.abandoned).toBe(before + 1));
    await sleep(150);
    expect(chaos.abandoned).toBe(before + 1);
    goOn();
    await until(reader, much.path, ({ headers }) => headers['x-cache'] === 'HIT');
    expect(much.made()).toBe(1);
    expect([(await reader.get(little.path)).body.length, little.made()]).toEqual([1000, 2]);
  });

  it('keeps nothing of a body that breaks off', async () => {
    let isWhole = false;
    const { path } = page({ 'cache-control': 'max-age=60', 'content-length': '14' }, (_, response) => {
      if (isWhole) return response.end('fourteen bytes');
      response.write('half');
      return setTimeout(() => response.socket?.destroy(), 50);
    });
    await expect(ends()[0].get(path)).rejects.toThrow(/aborted|ECONNRESET/);
    isWhole = true;
    expect((await ends()[0].get(path)).text).toBe('fourteen bytes');
  });

  if (isShared) {
    it('goes on when the server is killed in the middle', async () => {
      const { path, made } = page({ 'cache-control': 'max-age=60' });
      const [, reader] = ends();
      await reader.get(path);
      await server!.kill();
      const replies = await Promise.all(Array.from({ length: 10 }, () => reader.get(path)));
      expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
      const fresh = page({ 'cache-control': 'max-age=60' });
      expect((await reader.get(fresh.path)).status).toBe(200);
      expect((await reader.get(fresh.path, { authorization: 'Bearer ada' })).text).toContain('Bearer ada');
      expect((await reader.get(fresh.path)).text).not.toContain('Bearer');
      expect(made()).toBeLessThanOrEqual(11);
    });
  }
});

describe.each(PLATFORMS)('the share of forwarded responses that is rolled out, on %s', (platform) => {
  let chaos: ChaosUpstream;
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  beforeAll(async () => {
    chaos = await ChaosUpstream.start();
    const own = { origin: chaos.origin, allowPrivate: true, cache: { default: '1m' } } as const;
    const imports = [GatewayModule.forRoot({ upstreams: { shop: own, plain: own, graceless: own } })];
    app = await openHttpApp({ platform, controllers: [Services], imports, cache: { cache: { rolloutPercent: 50 } } });
    client = await HttpClient.of(app);
  });
  afterAll(async () => {
    client.close();
    await app.close();
    await chaos.close();
  });

  it('is cached, always the same ones', async () => {
    const kindOf = async (id: number) => String((await client.get(`/shop/ok?${id}`)).headers['x-cache']);
    const ids = Array.from({ length: 40 }, (_, id) => id);
    const first: string[] = [];
    for (const id of ids) first.push(await kindOf(id));
    expect(new Set(first)).toEqual(new Set(['MISS', 'BYPASS']));
    for (const id of ids) expect(await kindOf(id)).toBe(first[id] === 'MISS' ? 'HIT' : 'BYPASS');
  });
});
