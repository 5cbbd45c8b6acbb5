import 'reflect-metadata';
import fastifyCompress from '@fastify/compress';
import {
  All,
  Body,
  type CallHandler,
  type CanActivate,
  Catch,
  ConflictException,
  Controller,
  Delete,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Header,
  HttpCode,
  HttpException,
  type INestApplication,
  Injectable,
  type NestInterceptor,
  NotFoundException,
  Param,
  ParseIntPipe,
  Post,
  Put,
  Query,
  Redirect,
  Res,
  Sse,
  StreamableFile,
  UseFilters,
  UseGuards,
  UseInterceptors,
  VersioningType,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { Mutation } from '@nestjs/graphql';
import { MessagePattern } from '@nestjs/microservices';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { SubscribeMessage } from '@nestjs/websockets';
import compression from 'compression';
import { Redis } from 'ioredis';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { map, type Observable, of } from 'rxjs';
import {
  CacheService,
  Idempotent,
  type IdempotentOptions,
  InvalidOptionsError,
  LockGuard,
  RateLimit,
  WithLock,
} from '../../src/index.ts';
import { Telemetry } from '../../src/common/telemetry.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { type HttpAppOptions, openHttpApp, type Platform, PLATFORMS } from '../support/http-app.ts';
import { startStandalone } from '../support/servers.ts';

interface Reply {
  status(code: number): Reply;
  header(name: string, value: string | string[]): Reply;
  send(body?: unknown): Reply;
}

/** How often each handler has run, and a gate that holds some of them. */
class Runs {
  #counts = new Map<string, number>();
  #open: () => void = () => undefined;
  gate: Promise<void> = Promise.resolve();

  count(name: string): number {
    const runs = this.of(name) + 1;
    this.#counts.set(name, runs);
    return runs;
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  reset(): void {
    this.#open();
    this.#counts = new Map();
    this.gate = Promise.resolve();
  }

  shut(): void {
    this.gate = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open();
  }
}
const runs = new Runs();

/** Knows who calls from a header, turns some away, and links to what others ask for. */
@Injectable()
class UserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
    const name = request.headers['x-user'];
    if (name !== undefined) request.user = { id: name };
    const link = request.headers['x-link'];
    if (link !== undefined) context.switchToHttp().getResponse<Reply>().header('link', link.split(' '));
    return name !== 'denied';
  }
}

@Injectable()
class Envelope implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((data: unknown) => ({ data })));
  }
}

@Catch(NotFoundException)
class TeapotFilter implements ExceptionFilter {
  catch(_: unknown, host: { switchToHttp(): { getResponse(): Reply } }): void {
    host
      .switchToHttp()
      .getResponse()
      .status(410)
      .header('x-filtered', 'yes')
      .send({ gone: runs.of('filtered') });
  }
}

@Controller('orders')
class Orders {
  @Idempotent()
  @Post()
  create(@Body() body: object, @Query() query: object): object {
    return { run: runs.count('create'), body, query };
  }

  @Idempotent({ required: true })
  @Post('required')
  required(): object {
    return { run: runs.count('required') };
  }

  @Idempotent({ syntax: 'strict' })
  @Post('strict')
  strict(): object {
    return { run: runs.count('strict') };
  }

  @Idempotent({ docs: 'https://docs.example.com/retries' })
  @Post('slow')
  async slow(): Promise<object> {
    const run = runs.count('slow');
    await runs.gate;
    return { run };
  }

  @Idempotent({ wait: '5s' })
  @Post('waiting')
  async waiting(): Promise<object> {
    const run = runs.count('waiting');
    await runs.gate;
    return { run };
  }

  @Idempotent()
  @Post('of/:id')
  ofOne(@Param('id') id: string): object {
    return { run: runs.count('of'), id };
  }

  @Idempotent()
  @Put('of/:id')
  putOne(@Param('id') id: string): object {
    return { run: runs.count('put'), id };
  }

  @Idempotent()
  @Delete('of/:id')
  @HttpCode(204)
  remove(): void {
    runs.count('remove');
  }

  @Idempotent()
  @Post('status/:status')
  status(@Param('status', ParseIntPipe) status: number): object {
    const run = runs.count('status');
    if (status >= 400) throw new HttpException({ run }, status);
    return { run };
  }

  @Idempotent({ serverErrors: true })
  @Post('errors')
  errors(): never {
    throw new HttpException({ run: runs.count('errors') }, 500);
  }

  @Idempotent()
  @Post('number/:id')
  number(@Param('id', ParseIntPipe) id: number): object {
    return { run: runs.count('number'), id };
  }

  @Idempotent()
  @Post('headers')
  @HttpCode(202)
  @Header('x-custom', 'static')
  headers(@Res({ passthrough: true }) reply: Reply): object {
    const run = runs.count('headers');
    reply.header('x-run', String(run)).header('set-cookie', ['a=1', 'b=2']).header('location', `/orders/${run}`);
    reply.header('x-request-id', String(run)).header('x-list', ['one', 'two']);
    return { run };
  }

  @Idempotent()
  @Post('res')
  res(@Res() reply: Reply): void {
    reply
      .status(203)
      .header('content-type', 'text/plain')
      .send(`é ${runs.count('res')}`);
  }

  @Idempotent()
  @Post('twice')
  twice(@Res() reply: Reply): void {
    reply.status(200).send({ run: runs.count('twice') });
    throw new ConflictException('too late');
  }

  @Idempotent()
  @Post('bytes')
  bytes(): StreamableFile {
    runs.count('bytes');
    return new StreamableFile(Buffer.from([0, 255, 128, 10, 13]), { type: 'application/octet-stream' });
  }

  @Idempotent({ maxBody: '1kb' })
  @Post('long/:bytes')
  long(@Param('bytes', ParseIntPipe) bytes: number): StreamableFile {
    runs.count('long');
    return new StreamableFile(Readable.from([Buffer.alloc(bytes, 7)], { objectMode: false }));
  }

  @Idempotent()
  @Post('text')
  text(): object {
    return { run: runs.count('text'), text: 'é€😀'.repeat(1_000) };
  }

  @Idempotent()
  @Post('observable')
  observable(): Observable<object> {
    return of({ run: runs.count('observable') });
  }

  @Idempotent()
  @Post('redirect')
  @Redirect('/orders/1', 303)
  redirect(): void {
    runs.count('redirect');
  }

  @Idempotent()
  @Post('filtered')
  @UseFilters(TeapotFilter)
  filtered(): never {
    runs.count('filtered');
    throw new NotFoundException();
  }

  @UseInterceptors(Envelope)
  @Idempotent()
  @Post('enveloped')
  enveloped(): object {
    return { run: runs.count('enveloped') };
  }

  @Idempotent()
  @All('all')
  all(): object {
    return { run: runs.count('all') };
  }

  @Idempotent({ principal: () => 'everybody' })
  @Post('shared')
  shared(): object {
    return { run: runs.count('shared') };
  }

  @Idempotent({ fingerprint: (context) => context.switchToHttp().getRequest<{ body: { id: string } }>().body.id })
  @Post('printed')
  printed(): object {
    return { run: runs.count('printed') };
  }

  @Idempotent({ onOutage: 'local' })
  @Post('local')
  local(): object {
    return { run: runs.count('local') };
  }

  @Idempotent()
  @RateLimit({ name: 'above', limit: 2, window: '1h' })
  @WithLock('above', 10_000)
  @Post('above')
  async above(): Promise<object> {
    return Promise.resolve({ run: runs.count('above') });
  }

  @Post('below')
  @WithLock('below', 10_000)
  @RateLimit({ name: 'below', limit: 2, window: '1h' })
  @Idempotent()
  async below(): Promise<object> {
    return Promise.resolve({ run: runs.count('below') });
  }

  @RateLimit({ name: 'between', limit: 2, window: '1h' })
  @Idempotent()
  @Post('between')
  @UseGuards(LockGuard)
  @WithLock('between', 10_000)
  async between(): Promise<object> {
    return Promise.resolve({ run: runs.count('between') });
  }

  @Idempotent()
  @WithLock({ key: 'busy:{body.who}', conflictStatus: 423 })
  @Post('busy')
  async busy(): Promise<object> {
    const run = runs.count('busy');
    await runs.gate;
    return { run };
  }
}

const JSON_TYPE = { 'content-type': 'application/json' };

describe.each(PLATFORMS)('@Idempotent on %s', (platform) => {
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  let keys = 0;
  const newKey = () => `key-${keys++}`;
  const open = async (options: Omit<HttpAppOptions, 'platform'> = {}): Promise<void> => {
    const providers = [{ provide: APP_GUARD, useClass: UserGuard }];
    app = await openHttpApp({ platform, controllers: [Orders], providers, ...options });
    client = await HttpClient.of(app);
  };
  const close = async (): Promise<void> => {
    client.close();
    await app.close();
  };
  function post(path: string, key?: string, body: unknown = {}, headers: Record<string, string> = {}, method = 'POST') {
    const text = JSON.stringify(body);
    const own = { 'content-length': String(text.length), ...(key !== undefined && { 'idempotency-key': key }) };
    return client.call(`/orders${path}`, { method, body: text, headers: { ...JSON_TYPE, ...own, ...headers } });
  }
  const jsonOf = ({ text }: HttpReply) => JSON.parse(text) as Record<string, unknown>;
  const isReplayed = ({ headers }: HttpReply) => headers['idempotent-replayed'] === 'true';
  const runOf = (reply: HttpReply) => [jsonOf(reply)['run'], isReplayed(reply)];
  const DOCS = '<https://www.npmjs.com/package/nestjs-keep#idempotency>;rel="describedby"';
  function expectProblem(reply: HttpReply, status: number, type: string): void {
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(reply.headers['link']).toBe(DOCS);
    expect(jsonOf(reply)).toMatchObject({
      type: `https://www.npmjs.com/package/nestjs-keep#${type}`,
      ...{ status, statusCode: status },
      code: expect.stringMatching(/^KEEP_IDEMPOTENCY_/) as string,
      detail: expect.any(String) as string,
    });
  }

  describe('in one application', () => {
    beforeAll(() => open());
    afterAll(close);
    beforeEach(() => runs.reset());

    it('runs once for a key, and says what it said before', async () => {
      const key = newKey();
      const first = await post('', key, { a: 1 });
      expect([first.status, ...runOf(first)]).toEqual([201, 1, false]);
      for (let retry = 0; retry < 3; retry++) {
        const again = await post('', key, { a: 1 });
        expect([again.status, again.text, isReplayed(again)]).toEqual([201, first.text, true]);
        expect(again.headers['content-type']).toBe(first.headers['content-type']);
        expect(again.headers['content-length']).toBe(first.headers['content-length']);
      }
      expect(runs.of('create')).toBe(1);
    });

    it('runs each time without a key, and for each key', async () => {
      expect(runOf(await post(''))).toEqual([1, false]);
      expect(runOf(await post(''))).toEqual([2, false]);
      expect(runOf(await post('', newKey()))).toEqual([3, false]);
      expect(runOf(await post('', newKey()))).toEqual([4, false]);
    });

    it('takes a key in quotes for the same as a bare one (IDEM-01)', async () => {
      const key = newKey();
      await post('', key);
      expect(runOf(await post('', `"${key}"`))).toEqual([1, true]);
      expect(runOf(await post('', ` "${key}";version=1 `))).toEqual([1, true]);
    });

    it.each(['', '""', '"open', 'a, b', '"a", "b"', 'a b', '"é"', 'a\\b', `"${'x'.repeat(256)}"`, 'x'.repeat(256)])(
      'refuses the key %j (IDEM-01)',
      async (key) => {
        expectProblem(await post('', key), 400, 'idempotency-key-malformed');
        expect(runs.of('create')).toBe(0);
      },
    );

    it('takes keys of one to 255 characters (IDEM-01)', async () => {
      for (const key of [
        'x',
        'x'.repeat(255),
        `"${'\\"'.repeat(255)}"`,
        '8e03978e-40d5-43e8-bc93-6894a57f9324',
        'a+/=:@',
      ]) {
        expect((await post('', key)).status).toBe(201);
      }
    });

    it('refuses a bare key where quotes are asked for (IDEM-01)', async () => {
      expectProblem(await post('/strict', 'bare'), 400, 'idempotency-key-malformed');
      expect((await post('/strict', '"quoted"')).status).toBe(201);
    });

    it('refuses a request without the key that is required (IDEM-02)', async () => {
      expectProblem(await post('/required'), 400, 'idempotency-key-missing');
      expect((await post('/required', newKey())).status).toBe(201);
      expect(runs.of('required')).toBe(1);
    });

    it('links to its description beside what the response links to already (IDEM-02)', async () => {
      for (const links of [['</a>;rel=next'], ['</a>;rel=next', '</b>;rel=prev']]) {
        const reply = await post('/required', undefined, {}, { 'x-link': links.join(' ') });
        expect([reply.status, reply.headers['link']]).toEqual([400, [...links, DOCS].join(', ')]);
      }
    });

    it('refuses an equal request while the first one runs (IDEM-02)', async () => {
      runs.shut();
      const key = newKey();
      const first = post('/slow', key);
      await eventually(() => runs.of('slow') === 1);
      const second = await post('/slow', key);
      expect(second.status).toBe(409);
      expect(jsonOf(second)).toMatchObject({ code: 'KEEP_IDEMPOTENCY_CONFLICT' });
      expect(second.headers['retry-after']).toMatch(/^[1-5]$/);
      expect(second.headers['link']).toBe('<https://docs.example.com/retries>;rel="describedby"');
      runs.open();
      expect(runOf(await first)).toEqual([1, false]);
      expect(runOf(await post('/slow', key))).toEqual([1, true]);
    });

    it('lets an equal request wait where it may (IDEM-02)', async () => {
      runs.shut();
      const key = newKey();
      const replies = Array.from({ length: 5 }, () => post('/waiting', key));
      await eventually(() => runs.of('waiting') === 1);
      await sleep(50);
      runs.open();
      const outcomes = (await Promise.all(replies)).map(runOf);
      expect(outcomes.map(([run]) => run)).toEqual([1, 1, 1, 1, 1]);
      expect(outcomes.filter(([, replayed]) => replayed)).toHaveLength(4);
    });

    it.each([
      ['another body', '', { a: 2 }],
      ['another query', '?a=1', { a: 1 }],
      ['an empty body', '', {}],
    ])('refuses the key of another request: %s (IDEM-02)', async (_, query, body) => {
      const key = newKey();
      await post('', key, { a: 1 });
      expectProblem(await post(query, key, body), 422, 'idempotency-mismatch');
      expect(runs.of('create')).toBe(1);
    });

    it('knows an equal request in another spelling', async () => {
      const key = newKey();
      await post('?b=2&a=1', key, { x: 1, y: { z: [1, 2] } });
      expect(runOf(await post('?a=1&b=2', key, { y: { z: [1, 2] }, x: 1 }))).toEqual([1, true]);
      expectProblem(await post('?a=1&b=2', key, { y: { z: [2, 1] }, x: 1 }), 422, 'idempotency-mismatch');
    });

    it('compares what the route says is to be compared', async () => {
      const key = newKey();
      await post('/printed', key, { id: '1', at: 1 });
      expect(runOf(await post('/printed', key, { id: '1', at: 2 }))).toEqual([1, true]);
      expectProblem(await post('/printed', key, { id: '2', at: 1 }), 422, 'idempotency-mismatch');
    });

    it('takes one key on two paths, and with two methods, for two requests', async () => {
      const key = newKey();
      expect(jsonOf(await post('/of/1', key))).toEqual({ run: 1, id: '1' });
      expect(jsonOf(await post('/of/2', key))).toEqual({ run: 2, id: '2' });
      expect(runOf(await post('/of/1', key, {}, {}, 'PUT'))).toEqual([1, false]);
      expect(runOf(await post('/of/1', key, {}, {}, 'PUT'))).toEqual([1, true]);
    });

    it('never answers with what somebody else was told (IDEM-05)', async () => {
      const key = newKey();
      const as = (user: string) => post('', key, { a: 1 }, { 'x-user': user });
      expect(runOf(await as('alice'))).toEqual([1, false]);
      expect(runOf(await as('bob'))).toEqual([2, false]);
      expect(runOf(await post('', key, { a: 1 }))).toEqual([3, false]);
      expect(runOf(await as('alice'))).toEqual([1, true]);
      expect(runOf(await as('bob'))).toEqual([2, true]);
    });

    it.each(['authorization', 'cookie'])('tells users apart by %s where no guard has (IDEM-05)', async (header) => {
      const key = newKey();
      const as = (value: string) => post('', key, {}, { [header]: value });
      expect(runOf(await as('a=1'))).toEqual([1, false]);
      expect(runOf(await as('a=2'))).toEqual([2, false]);
      expect(runOf(await as('a=1'))).toEqual([1, true]);
    });

    it('does not take a user for credentials, nor an address for either (IDEM-05)', async () => {
      const key = newKey();
      const outcomes = [{}, { 'x-user': '127.0.0.1' }, { authorization: '127.0.0.1' }, { cookie: '127.0.0.1' }];
      for (const [at, headers] of outcomes.entries()) {
        expect(runOf(await post('', key, {}, headers as Record<string, string>))).toEqual([at + 1, false]);
      }
    });

    it('takes everybody for one where the route says so', async () => {
      const key = newKey();
      await post('/shared', key, {}, { 'x-user': 'alice' });
      expect(runOf(await post('/shared', key, {}, { 'x-user': 'bob' }))).toEqual([1, true]);
    });

    it('claims nothing for who is denied', async () => {
      const key = newKey();
      expect((await post('', key, {}, { 'x-user': 'denied' })).status).toBe(403);
      expect(runs.of('create')).toBe(0);
    });

    it('says again what the handler said of its response, and nothing of the moment (IDEM-03)', async () => {
      const key = newKey();
      const first = await post('/headers', key);
      expect(first.headers['set-cookie']).toEqual(['a=1', 'b=2']);
      const again = await post('/headers', key);
      expect([again.status, again.text, isReplayed(again)]).toEqual([202, '{"run":1}', true]);
      expect(again.headers).toMatchObject({ 'x-run': '1', location: '/orders/1', 'x-custom': 'static' });
      expect(again.headers['x-list']).toEqual(first.headers['x-list']);
      expect(again.headers['set-cookie']).toBeUndefined();
      expect(again.headers['x-request-id']).toBeUndefined();
      expect(again.headers.etag).toBe(first.headers.etag);
    });

    it.each(['/res', '/bytes', '/text', '/redirect', '/filtered', '/enveloped', '/observable', '/twice'])(
      'replays what went over the wire: %s',
      async (path) => {
        const key = newKey();
        const first = await post(path, key);
        const again = await post(path, key);
        expect([again.status, again.body, isReplayed(again)]).toEqual([first.status, first.body, true]);
        const ofThisAnswer = ['date', 'idempotent-replayed', 'transfer-encoding', 'content-length'];
        const lasting = ({ headers }: HttpReply) =>
          Object.entries(headers).filter(([name]) => !ofThisAnswer.includes(name));
        expect(lasting(again).sort()).toEqual(lasting(first).sort());
        expect(runs.of(path.slice(1))).toBe(1);
      },
    );

    it('replays an answer without a body', async () => {
      const key = newKey();
      for (let time = 0; time < 2; time++) {
        const reply = await post('/of/1', key, {}, {}, 'DELETE');
        expect([reply.status, reply.text, isReplayed(reply)]).toEqual([204, '', time === 1]);
      }
      expect(runs.of('remove')).toBe(1);
    });

    it.each([200, 201, 204, 400, 404, 410, 412, 422])('keeps an answer of %d (IDEM-04)', async (status) => {
      const key = newKey();
      await post(`/status/${status}`, key);
      expect(isReplayed(await post(`/status/${status}`, key))).toBe(true);
      expect(runs.of('status')).toBe(1);
    });

    it.each([401, 403, 408, 409, 423, 425, 429, 500, 502, 503, 504])(
      'runs again after an answer of %d (IDEM-04)',
      async (status) => {
        const key = newKey();
        await post(`/status/${status}`, key);
        const again = await post(`/status/${status}`, key);
        expect([again.status, isReplayed(again)]).toEqual([status, false]);
        expect(runs.of('status')).toBe(2);
      },
    );

    it('keeps a failure of the server where it may (IDEM-04)', async () => {
      const key = newKey();
      expect((await post('/errors', key)).status).toBe(500);
      const again = await post('/errors', key);
      expect([again.status, ...runOf(again)]).toEqual([500, 1, true]);
    });

    it('keeps the refusal of a pipe, which would be the same again', async () => {
      const key = newKey();
      expect((await post('/number/x', key)).status).toBe(400);
      const again = await post('/number/x', key);
      expect([again.status, isReplayed(again)]).toEqual([400, true]);
      expect(runs.of('number')).toBe(0);
    });

    it('does not run again for an answer that was too long to be kept', async () => {
      const key = newKey();
      const first = await post('/long/2000', key);
      expect(first.body).toEqual(Buffer.alloc(2_000, 7));
      expectProblem(await post('/long/2000', key), 409, 'idempotency-answer-lost');
      expect((await post('/long/2000', key)).headers['retry-after']).toBeUndefined();
      expect(runs.of('long')).toBe(1);
      const short = newKey();
      await post('/long/1000', short);
      expect((await post('/long/1000', short)).body).toEqual(Buffer.alloc(1_000, 7));
    });

    it('leaves what changes nothing alone', async () => {
      const key = newKey();
      expect(runOf(await client.get('/orders/all', { 'idempotency-key': key }))).toEqual([1, false]);
      expect(runOf(await client.get('/orders/all', { 'idempotency-key': key }))).toEqual([2, false]);
      expect(runOf(await post('/all', key))).toEqual([3, false]);
      expect(runOf(await post('/all', key))).toEqual([3, true]);
    });

    it('keeps the answer of a handler that has outlived its client', async () => {
      runs.shut();
      const key = newKey();
      const impatient = client.call('/orders/slow', {
        ...{ method: 'POST', body: '{}', timeoutMs: 100 },
        headers: { ...JSON_TYPE, 'idempotency-key': key },
      });
      await expect(impatient).rejects.toThrow('no answer');
      expect((await post('/slow', key)).status).toBe(409);
      runs.open();
      const reply = await eventually(async () => {
        const again = await post('/slow', key);
        return again.status === 201 && again;
      });
      expect(runOf(reply as HttpReply)).toEqual([1, true]);
    });

    it.each(['/above', '/below', '/between'])('works with a limit and a lock in any order: %s', async (path) => {
      const user = { 'x-user': `user${keys}` };
      const key = newKey();
      expect(runOf(await post(path, key, {}, user))).toEqual([1, false]);
      const again = await post(path, key, {}, user);
      expect(runOf(again)).toEqual([1, true]);
      // Fresh figures: guards run first.
      expect(again.headers['ratelimit']).toMatch(/;r=0;/);
      expect((await post(path, key, {}, user)).status).toBe(429);
    });

    it('does not keep the refusal of a lock', async () => {
      runs.shut();
      const [one, two] = [newKey(), newKey()];
      const holder = post('/busy', one, { who: 'x' });
      await eventually(() => runs.of('busy') === 1);
      expect((await post('/busy', two, { who: 'x' })).status).toBe(423);
      runs.open();
      await holder;
      expect(runOf(await post('/busy', two, { who: 'x' }))).toEqual([2, false]);
    });

    it('counts what came of keys', async () => {
      const { idempotency } = app.get(Telemetry);
      const of = (outcome: string) => idempotency.get(outcome)?.n ?? 0;
      const outcomes = ['kept', 'released', 'replayed', 'conflict', 'mismatch', 'invalid', 'answer-lost'] as const;
      const before = outcomes.map(of);
      const key = newKey();
      await post('', key, { a: 1 });
      await post('', key, { a: 1 });
      await post('', key, { a: 2 });
      await post('', '""');
      await post('/status/500', newKey());
      expect(outcomes.map((outcome, at) => of(outcome) - before[at]!)).toEqual([1, 1, 1, 0, 1, 1, 0]);
    });
  });

  describe('in an application of its own', () => {
    beforeEach(() => runs.reset());
    afterEach(close);

    it.each([[['gzip', undefined, 'gzip']], [[undefined, 'gzip']]])(
      'replays what each client understands, behind a compressor: %j',
      async (codings) => {
        await open({ configure: (opening) => withCompression(opening, platform) });
        const key = newKey();
        for (const [at, coding] of codings.entries()) {
          const reply = await post('/text', key, {}, coding === undefined ? {} : { 'accept-encoding': coding });
          expect([reply.headers['content-encoding'], isReplayed(reply)]).toEqual([coding, at > 0]);
          expect(JSON.parse(plain(reply))).toEqual({ run: 1, text: 'é€😀'.repeat(1_000) });
        }
      },
    );

    it('stands in front of all interceptors, and of pipes', async () => {
      const providers = [{ provide: APP_INTERCEPTOR, useClass: Envelope }];
      await open({ providers });
      const key = newKey();
      const first = await post('/enveloped', key);
      expect(jsonOf(first)).toEqual({ data: { data: { run: 1 } } });
      expect((await post('/enveloped', key)).text).toBe(first.text);
    });

    it('tells routes of one path apart by their version', async () => {
      @Controller({ path: 'orders', version: '1' })
      class One {
        @Idempotent()
        @Post('versioned')
        create(): object {
          return { run: 'one' };
        }
      }
      @Controller({ path: 'orders', version: '2' })
      class Two {
        @Idempotent()
        @Post('versioned')
        create(): object {
          return { run: 'two' };
        }
      }
      const configure = (opening: INestApplication) =>
        void opening.enableVersioning({ type: VersioningType.HEADER, header: 'x-version' });
      await open({ controllers: [One, Two], configure });
      const key = newKey();
      for (const [version, run] of [
        ['1', 'one'],
        ['2', 'two'],
      ] as const) {
        expect(runOf(await post('/versioned', key, {}, { 'x-version': version }))).toEqual([run, false]);
      }
    });

    it('takes the principal of the module for its own', async () => {
      const principal = (context: ExecutionContext) =>
        context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-tenant'];
      await open({ cache: { http: { principal, dropHeaders: ['X-Run'] } } });
      const key = newKey();
      const as = (tenant: string) => post('/headers', key, {}, { 'x-tenant': tenant });
      expect(runOf(await as('a'))).toEqual([1, false]);
      expect(runOf(await as('b'))).toEqual([2, false]);
      const again = await as('a');
      expect([...runOf(again), again.headers['x-run']]).toEqual([1, true, undefined]);
    });

    it('refuses to run without the server, says so, and runs when it is back (IDEM-04)', async () => {
      const servers = await startStandalone();
      try {
        await open({ cache: { redis: { url: servers.url, commandTimeout: '5s' } } });
        const key = newKey();
        expect(runOf(await post('', key))).toEqual([1, false]);
        expect(runOf(await post('', key))).toEqual([1, true]);
        await servers.kill();
        const refused = await eventually(async () => {
          const reply = await post('', newKey());
          return reply.status === 503 && reply;
        });
        expectProblem(refused as HttpReply, 503, 'idempotency-unavailable');
        expect((refused as HttpReply).headers['retry-after']).toBe('1');
        expect(runs.of('create')).toBe(1);
        expect((await post('')).status).toBe(201);
        expect(runOf(await post('/local', key))).toEqual([1, false]);
        expect(runOf(await post('/local', key))).toEqual([1, true]);
        await servers.restart();
        await eventually(async () => (await post('', newKey())).status === 201, { withinMs: 10_000 });
      } finally {
        await servers.stop();
      }
    });

    it('forgets no answer when the cache is reset', async () => {
      await open();
      const key = newKey();
      await post('', key);
      await app.get(CacheService).reset();
      expect(runOf(await post('', key))).toEqual([1, true]);
    });

    it('shows neither keys nor users on the server', async () => {
      const servers = await startStandalone();
      try {
        await open({ cache: { redis: { url: servers.url, commandTimeout: '5s' } } });
        await post('', 'secret-key', { secret: 'body' }, { 'x-user': 'secret-user', cookie: 'secret-cookie' });
        const names = await keysOf(servers.port);
        expect(names.filter((name) => name.startsWith('app:v1@idempotency:'))).toHaveLength(1);
        expect(names.join()).not.toContain('secret');
      } finally {
        await servers.stop();
      }
    });
  });
});

async function withCompression(app: INestApplication, platform: Platform): Promise<void> {
  if (platform === 'express') app.use(compression());
  else await (app as NestFastifyApplication).register(fastifyCompress as never);
}

const plain = ({ headers, body }: HttpReply): string =>
  (headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();

async function keysOf(port: number): Promise<string[]> {
  const redis = new Redis(port, HOST);
  try {
    return await redis.keys('*');
  } finally {
    redis.disconnect();
  }
}

describe('@Idempotent at the start', () => {
  const decorated = (options: IdempotentOptions, ...others: MethodDecorator[]) => {
    class Subject {
      run(): object {
        return {};
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(Subject.prototype, 'run')!;
    Reflect.decorate([...others, Idempotent(options)], Subject.prototype, 'run', descriptor);
    Object.defineProperty(Subject.prototype, 'run', descriptor);
    return Subject;
  };

  it.each([
    [{ ttl: '0s' }, "ttl: must be a duration from '1ms' to '30d'; received '0s'"],
    [{ lease: '1h' }, 'lease: must be a duration'],
    [{ wait: 5 }, 'wait: must be a duration'],
    [{ syntax: 'loose' }, "syntax: must be one of 'lenient', 'strict'"],
    [{ principal: 'user' }, 'principal: must be a function'],
    [{ maxBody: '1tb' }, 'maxBody: must be'],
    [{ onOutage: 'allow' }, "onOutage: must be one of 'reject', 'local'"],
    [{ docs: 'https://a>b' }, 'docs: must be an address'],
    [{ reqiured: true }, "reqiured: unknown option; did you mean 'required'?"],
    ['key', 'options: must be an object'],
  ])('refuses the options %j with the name of the method', (options, fault) => {
    expect(() => decorated(options as IdempotentOptions)).toThrow(InvalidOptionsError);
    expect(() => decorated(options as IdempotentOptions)).toThrow('Subject.run: wrong options of @Idempotent');
    expect(() => decorated(options as IdempotentOptions)).toThrow(fault);
  });

  it.each([
    ['a GET route', [Get()], 'only POST, PUT, PATCH and DELETE change anything'],
    ['an event stream', [Sse()], 'an event stream cannot be replayed'],
    ['a method that is no route', [], 'only routes of HTTP'],
    ['a message handler', [MessagePattern('orders')], 'only routes of HTTP'],
    ['a gateway', [SubscribeMessage('orders')], 'only routes of HTTP'],
    ['a resolver', [Mutation(() => String)], 'only routes of HTTP'],
  ])('refuses %s', async (_, decorators, fault) => {
    const Subject = decorated({}, ...decorators);
    Controller()(Subject);
    await expect(openHttpApp({ platform: 'express', controllers: [Subject] })).rejects.toThrow(`Subject.run: ${fault}`);
  });

  it('refuses to run where there is no module', async () => {
    const Subject = decorated({}, Post());
    await expect(Promise.resolve().then(() => new Subject().run())).rejects.toThrow(
      /Subject\.run .*@Idempotent[^]*CacheModule/,
    );
  });
});
