import 'reflect-metadata';
import fastifyCompress from '@fastify/compress';
import { Controller, Get, Header, type INestApplication, Param, Query, Req, Res, StreamableFile } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import compression from 'compression';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Telemetry } from '../../src/common/telemetry.ts';
import { Cacheable, CacheService } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { readUnkept } from '../support/heap.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { openHttpApp, type Platform, PLATFORMS } from '../support/http-app.ts';

interface Reply {
  header(name: string, value: string): Reply;
  send(body: unknown): Reply;
}

interface Url {
  readonly url: string;
}

const TEXT = 'é€😀'.repeat(2_000);
const CHUNK = Buffer.alloc(1024 ** 2, 7);

/** Chunks of one megabyte, the first after `pauseMs`. */
async function* megabytes(count: number, pauseMs: number): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < count; sent++) {
    if (sent === 1) await sleep(pauseMs);
    yield CHUNK;
  }
}

async function* hesitantly(): AsyncGenerator<string> {
  yield 'first, ';
  await sleep(300);
  yield 'last';
}

async function* kilobytes(count: number): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < count; sent++) yield await Promise.resolve(CHUNK.subarray(0, 1024));
}

@Controller()
class Bytes {
  runs = 0;

  @Cacheable('1m')
  @Get('text')
  text(): object {
    this.runs++;
    return { text: TEXT };
  }

  @Cacheable('1m')
  @Get('gzipped')
  gzipped(@Res() reply: Reply): void {
    this.runs++;
    reply
      .header('content-type', 'text/plain; charset=utf-8')
      .header('content-encoding', 'gzip')
      .header('etag', '"strong"')
      .send(gzipSync(TEXT));
  }

  @Cacheable('1m')
  @Get('unknown')
  unknown(@Res() reply: Reply): void {
    this.runs++;
    reply.header('content-type', 'text/plain').header('content-encoding', 'zzz').send(Buffer.from('any'));
  }

  @Cacheable('1m')
  @Get('stream/:megabytes')
  stream(@Param('megabytes') count: string): StreamableFile {
    this.runs++;
    return new StreamableFile(Readable.from(megabytes(Number(count), 400), { objectMode: false }));
  }

  @Cacheable('1m')
  @Get('hesitant')
  hesitant(): StreamableFile {
    this.runs++;
    return new StreamableFile(Readable.from(hesitantly(), { objectMode: false }));
  }

  @Cacheable('1m')
  @Header('etag', '"own"')
  @Get('validated/:kilobytes')
  validated(@Param('kilobytes') count: string, @Req() { url }: Url, @Res({ passthrough: true }) reply: Reply) {
    reply.header('cache-control', url.split('?')[1] ?? '');
    this.runs++;
    return new StreamableFile(Readable.from(kilobytes(Number(count))));
  }

  @Cacheable('1m')
  @Get('echo/:path')
  echo(@Query() query: object, @Req() { url }: Url): object {
    return { url, query, run: ++this.runs };
  }
}

async function withCompression(app: INestApplication, platform: Platform): Promise<void> {
  if (platform === 'express') app.use(compression());
  else await (app as NestFastifyApplication).register(fastifyCompress as never);
}

const plain = ({ headers, body }: HttpReply): string =>
  (headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();

describe.each(PLATFORMS)('bytes in the response cache on %s', (platform) => {
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  const open = async (configure?: (app: INestApplication) => Promise<void>): Promise<void> => {
    app = await openHttpApp({ platform, controllers: [Bytes], ...(configure && { configure }) });
    client = await HttpClient.of(app);
  };
  afterEach(async () => {
    client.close();
    await app.close();
  });
  const runs = () => app.get(Bytes).runs;

  it.each([[['gzip', undefined, 'gzip']], [[undefined, 'gzip', undefined]]])(
    'are what each client understands, behind a compressor: %j (HTTP-30)',
    async (codings) => {
      await open((opening) => withCompression(opening, platform));
      for (const coding of codings) {
        const reply = await client.get('/text', coding === undefined ? {} : { 'accept-encoding': coding });
        expect(JSON.parse(plain(reply))).toEqual({ text: TEXT });
        expect(reply.headers['content-encoding']).toBe(coding);
      }
      expect(runs()).toBe(1);
      const stored = await app.get(CacheService).get<Buffer>('http:1:Bytes.text:get:127.0.0.1/text');
      expect(stored?.includes(TEXT)).toBe(true);
    },
  );

  it('of a handler that compresses are stored as they are without it', async () => {
    await open();
    const first = await client.get('/gzipped', { 'accept-encoding': 'gzip' });
    expect([plain(first), first.headers['content-encoding']]).toEqual([TEXT, 'gzip']);
    const second = await client.get('/gzipped');
    expect([second.text, second.headers['content-encoding'], second.headers.etag]).toEqual([
      TEXT,
      undefined,
      'W/"strong"',
    ]);
    const third = await client.get('/unknown');
    expect([third.text, (await client.get('/unknown')).headers['x-cache']]).toEqual(['any', 'MISS']);
  });

  it('of a stream go on their way at once, and are stored when they were few (HTTP-09)', async () => {
    await open();
    const first = await client.get('/stream/8');
    expect(first.body).toHaveLength(8 * 1024 ** 2);
    expect(first.tookMs - first.firstByteMs).toBeGreaterThan(200);
    await client.get('/stream/8');
    expect(runs()).toBe(2);
    await client.get('/stream/0');
    expect((await client.get('/stream/0')).headers['x-cache']).toBe('HIT');
  });

  it('of a long stream are let go when they are too many to be stored (HTTP-09)', async () => {
    await open();
    const { bytes, megabytes } = await readUnkept(`http://127.0.0.1:${client.port}/stream/48`);
    expect(bytes).toBe(48 * 1024 ** 2);
    expect(megabytes).toBeLessThan(30);
  });

  it.each([
    ['no-store', false],
    ['max-age=60', true],
  ])('of a stream need not be sent to whom has them already, who says so: %s (HTTP-19)', async (control, isStored) => {
    await open();
    const path = `/validated/4?${control}`;
    const own = { 'if-none-match': '"own"' };
    // Several at once: nobody waits for what will not come.
    const replies = await Promise.all([1, 2, 3].map(() => client.get(path, own, { timeoutMs: 3_000 })));
    for (const { status, headers, body } of replies) {
      expect([status, body.length, headers.etag, headers['content-length']]).toEqual([304, 0, '"own"', undefined]);
    }
    const whole = await client.get(path);
    expect([whole.status, whole.body.length]).toEqual([200, 4096]);
    expect([whole.headers['x-cache'], runs()]).toEqual(isStored ? ['HIT', 1] : ['BYPASS', 4]);
    const older = await client.get(path, { 'if-none-match': '"older"' });
    expect([older.status, older.body.length]).toEqual([200, 4096]);
  });

  it('of a long stream are not waited for by whom has them already (HTTP-19)', async () => {
    await open();
    const replies = await Promise.all(
      [1, 2, 3].map(() => client.get('/validated/3000?max-age=60', { 'if-none-match': '"own"' }, { timeoutMs: 3_000 })),
    );
    expect(replies.map(({ status }) => status)).toEqual([304, 304, 304]);
    await eventually(() => expect([...app.get(Telemetry).notStored].map(([reason]) => reason)).toEqual(['too-large']));
  });

  it('of a stream that breaks off are not stored', async () => {
    await open();
    await expect(client.get('/stream/3', {}, { timeoutMs: 150 })).rejects.toThrow('no answer');
    await sleep(100);
    const reply = await client.get('/stream/1');
    expect(reply.body).toHaveLength(1024 ** 2);
  });

  it('of a client that hangs up are no reason not to wait for those of the next one (HTTP-18)', async () => {
    await open();
    await expect(client.get('/hesitant', {}, { timeoutMs: 100 })).rejects.toThrow('no answer');
    await eventually(() => expect([...app.get(Telemetry).notStored].map(([reason]) => reason)).toEqual(['aborted']));
    const replies = await Promise.all([1, 2, 3].map(() => client.get('/hesitant')));
    expect(replies.map(({ text }) => text)).toEqual(Array(3).fill('first, last'));
    expect(runs()).toBe(2);
  });

  describe('that a hostile client sends (B36)', () => {
    beforeEach(() => open());
    const ask = (line: string, headers: string[] = ['Host: a.example']) =>
      client.raw([line, ...headers, 'Connection: close', '', ''].join('\r\n'));

    it.each([
      ['GET /echo/a\u0001b HTTP/1.1'],
      ['GET http://evil.example/echo/x HTTP/1.1'],
      ['GET /echo/%ff%00%0d%0aSet-Cookie:a HTTP/1.1'],
      ['GET /echo/{a}?{b}=*&[c]=1 HTTP/1.1'],
      ['GET //evil.example/echo/x HTTP/1.1'],
      ['GET /echo/../../etc HTTP/1.1'],
      [`GET /echo/${'a'.repeat(6_000)} HTTP/1.1`],
      ['GET /echo/\u00e9 HTTP/1.1'],
    ])('never end in an answer to somebody else, nor in a failure: %j', async (line) => {
      const answers = [await ask(line), await ask(line)];
      for (const answer of answers) expect(answer.slice(0, 13)).toMatch(/^HTTP\/1\.1 [234]\d\d$|^HTTP\/1\.1 [234]/);
      const reply = await client.get('/echo/x', { host: 'a.example' });
      expect(JSON.parse(reply.text)).toMatchObject({ url: '/echo/x' });
      expect(reply.headers['set-cookie']).toBeUndefined();
    });

    it.each([
      [['Host: a.example/../b']],
      [['Host: a b']],
      [['Host: a.example', 'Host: b.example']],
      [['Host: a.example', 'Cookie: a=1; a="2\u00ff']],
      [['Host: a.example', 'Authorization: \u00ff']],
      [['Host: a.example', 'Cache-Control: max-age=-1, min-fresh=1e9, "', 'If-None-Match: "', 'Range: bytes=']],
      [['Host: a.example', 'Accept-Encoding: \u00ff;q=9,,,;', 'X-Forwarded-Host: evil.example']],
    ])('never poison an entry: %j', async (headers) => {
      const answer = await ask('GET /echo/x HTTP/1.1', headers);
      expect(answer).toMatch(/^HTTP\/1\.1 [24]\d\d /);
      const reply = await client.get('/echo/x', { host: 'a.example' });
      expect([reply.status, JSON.parse(reply.text)]).toEqual([200, expect.objectContaining({ url: '/echo/x' })]);
    });
  });
});
