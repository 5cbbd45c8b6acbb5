import 'reflect-metadata';
import {
  All,
  type CallHandler,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  ForbiddenException,
  Get,
  Logger,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { map, type Observable } from 'rxjs';
import { CacheService, CircuitBreakerService } from '../../src/index.ts';
import { Forward, GatewayModule, GatewayService, type UpstreamOptions } from '../../src/gateway/index.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../support/certificate.ts';
import { ChaosUpstream, STREAM } from '../support/chaos-upstream.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts, HOST } from '../support/free-ports.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';

const Context = createParamDecorator((_: unknown, context: ExecutionContext) => context);
const serviceOf = (context: ExecutionContext): string =>
  context.switchToHttp().getRequest<{ params: { service: string } }>().params.service;

@Controller()
class Services {
  constructor(private readonly gateway: GatewayService) {}

  @All('gateway/:service/*path')
  @Forward(serviceOf)
  service(): void {
    throw new Error('a forwarded route is not handled');
  }

  @Get('by-hand')
  byHand(@Context() context: ExecutionContext): Promise<unknown> {
    return this.gateway.forward(context, 'plain', { path: '/echo' });
  }

  @Get('climb')
  climb(@Context() context: ExecutionContext): Promise<unknown> {
    return this.gateway.forward(context, 'plain', { path: '/../echo' });
  }

  @Get('spare/*path')
  @Forward('dead', { fallback: ({ reason }) => ({ spare: true, reason }) })
  spare(): void {
    // The gateway answers.
  }
}

/** Takes back what was said behind it. */
class Refusal implements NestInterceptor {
  intercept(_: ExecutionContext, next: CallHandler): Observable<never> {
    return next.handle().pipe(
      map(() => {
        throw new ForbiddenException();
      }),
    );
  }
}

@Controller('refused')
@UseInterceptors(Refusal)
class Refused {
  @All('*path')
  @Forward('plain')
  refuse(): void {
    // The gateway answers.
  }
}

const FAST = { connect: '1s', headers: '400ms', body: '400ms', total: '1500ms' } as const;

describe.each(PLATFORMS)('the gateway on %s', (platform) => {
  let chaos: ChaosUpstream;
  let mute: Server;
  let secure: Server;
  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  beforeAll(async () => {
    for (const level of ['warn', 'error', 'log'] as const) jest.spyOn(Logger.prototype, level).mockReturnValue();
    chaos = await ChaosUpstream.start();
    mute = createServer((socket) => void socket.on('error', () => undefined)).listen(0, HOST);
    secure = createTlsServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }).listen(0, HOST);
    secure.on('tlsClientError', () => undefined);
    await Promise.all([once(mute, 'listening'), once(secure, 'listening')]);
    const [dead] = await freePorts(1);
    const portOf = (server: Server): number => (server.address() as AddressInfo).port;
    const own = { allowPrivate: true, timeouts: FAST, retry: false, breaker: false, cache: false } as const;
    const upstreams: Record<string, UpstreamOptions> = {
      plain: { ...own, origin: chaos.origin, headers: { 'X-Api-Key': 'k', 'X-Given': 'by us' }, tellDeadline: true },
      based: { ...own, origin: chaos.origin, basePath: '/base/' },
      small: { ...own, origin: chaos.origin, maxRequestBody: 1_000 },
      narrow: { ...own, origin: chaos.origin, connections: 1 },
      guarded: { ...own, origin: chaos.origin, breaker: { volumeThreshold: 2, resetTimeout: '1m' } },
      again: { ...own, origin: chaos.origin, retry: { max: 2 }, timeouts: { ...FAST, total: '8s' } },
      spent: { ...own, origin: chaos.origin, retry: { max: 2, budget: 0 } },
      trial: {
        ...own,
        origin: chaos.origin,
        retry: { max: 2 },
        breaker: { volumeThreshold: 2, resetTimeout: '300ms' },
      },
      cut: { ...own, origin: chaos.origin, breaker: { volumeThreshold: 4, errorThresholdPercentage: 40 } },
      left: { ...own, origin: chaos.origin, breaker: { volumeThreshold: 2, errorThresholdPercentage: 10 } },
      dead: { ...own, origin: `http://${HOST}:${dead}` },
      nameless: { ...own, origin: 'http://nowhere.invalid' },
      mute: { ...own, origin: `https://${HOST}:${portOf(mute)}`, timeouts: { ...FAST, connect: '200ms' } },
      notls: { ...own, origin: `https://${HOST}:${chaos.port}` },
      selfsigned: { ...own, origin: `https://${HOST}:${portOf(secure)}` },
      loopback: { ...own, origin: chaos.origin, allowPrivate: false },
      named: { ...own, origin: `http://localhost:${chaos.port}`, allowPrivate: false },
    };
    app = await openHttpApp({
      platform,
      controllers: [Services, Refused],
      imports: [GatewayModule.forRoot({ name: 'front', upstreams })],
    });
    client = await HttpClient.of(app);
  });
  afterAll(async () => {
    client.close();
    await app.close();
    await chaos.close();
    mute.close();
    secure.close();
  });

  const echoed = (reply: HttpReply) => JSON.parse(reply.text) as Echo;
  interface Echo {
    readonly method: string;
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly bytes: number;
    readonly body: string;
  }

  describe('when something goes wrong', () => {
    it.each([
      ['a name that does not resolve', 'nameless/ok', 502, 'dns_error'],
      ['a port nobody listens on', 'dead/ok', 502, 'connection_refused'],
      ['a connection that is reset', 'plain/reset', 502, 'connection_terminated'],
      ['a handshake that fails', 'notls/ok', 502, 'tls_protocol_error'],
      ['a certificate nobody has signed', 'selfsigned/ok', 502, 'tls_certificate_error'],
      ['an answer that is no HTTP', 'plain/garbage', 502, 'http_protocol_error'],
      ['two lengths', 'plain/two-lengths', 502, 'http_protocol_error'],
      ['a header with a line end in it', 'plain/split', 502, 'http_protocol_error'],
      ['too large headers', 'plain/large-headers', 502, 'http_response_header_section_size'],
      ['too many headers', 'plain/many-headers', 502, 'http_response_header_section_size'],
      ['a literal address that is refused', 'loopback/ok', 502, 'destination_ip_prohibited'],
      ['a name of a refused address', 'named/ok', 502, 'destination_ip_prohibited'],
      ['no connection in time', 'mute/ok', 504, 'connection_timeout'],
      ['no headers in time', 'plain/silent', 504, 'http_response_timeout'],
    ])('answers %s with the status of its row', async (_, path, status, reason) => {
      const reply = await client.get(`/gateway/${path}`);
      expect({ status: reply.status, said: reply.headers['proxy-status'] }).toEqual({
        status,
        said: `front; error=${reason}`,
      });
      expect(reply.headers['content-type']).toContain('application/problem+json');
      expect(JSON.parse(reply.text)).toMatchObject({ status, code: 'KEEP_GATEWAY', reason });
      expect(reply.text).not.toMatch(/127\.0\.0\.1|localhost|invalid/);
    });

    it.each(['teapot', 'broken', 'busy'])('hands on what the upstream answers itself: %s', async (path) => {
      const reply = await client.get(`/gateway/plain/${path}`);
      const [status, text] = { teapot: [418, 'short and stout'], broken: [500, 'a bug'], busy: [503, 'busy'] }[path]!;
      expect([reply.status, reply.text]).toEqual([status, text]);
      expect(reply.headers['proxy-status']).toBeUndefined();
    });

    it.each(['reset-body', 'short', 'slow-body'])('never passes half a body off as a whole one: %s', async (path) => {
      await expect(client.get(`/gateway/plain/${path}`)).rejects.toThrow(/aborted|socket hang up|ECONNRESET/);
    });

    it('ends what takes longer than the total time, however alive it looks', async () => {
      const startedAt = performance.now();
      await expect(client.get('/gateway/plain/drip')).rejects.toThrow(/aborted|ECONNRESET/);
      expect(performance.now() - startedAt).toBeLessThan(4_000);
    });

    it('answers 503 and when to come back while the breaker is open', async () => {
      for (let call = 0; call < 3; call++) await client.get('/gateway/guarded/broken');
      const reply = await client.get('/gateway/guarded/ok');
      expect([reply.status, reply.headers['proxy-status']]).toEqual([503, 'front; error=destination_unavailable']);
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(50);
      expect(Number(reply.headers['retry-after'])).toBeLessThanOrEqual(60);
      expect(app.get(CircuitBreakerService).getStats()['gateway:guarded']).toMatchObject({ state: 'OPEN' });
    });

    it('takes an answer that breaks off for a failure, and a client that goes for none (GW-06)', async () => {
      for (let round = 0; round < 4; round++) {
        await expect(client.get('/gateway/left/slow-body', {}, { timeoutMs: 100 })).rejects.toThrow('no answer');
        await expect(client.get('/gateway/left/silent', {}, { timeoutMs: 100 })).rejects.toThrow('no answer');
      }
      expect((await client.get('/gateway/left/ok')).status).toBe(200);
      const ofLeft = () => app.get(CircuitBreakerService).getStats()['gateway:left']?.stats;
      await eventually(() => expect(ofLeft()).toMatchObject({ fires: 9, successes: 9, failures: 0 }));
      for (let round = 0; round < 4; round++) {
        await client.get('/gateway/cut/reset-body').catch(() => undefined);
      }
      const reply = await client.get('/gateway/cut/ok');
      expect([reply.status, reply.headers['proxy-status']]).toEqual([503, 'front; error=destination_unavailable']);
    });

    it('answers 503 when as many requests as it may have are under way', async () => {
      const first = client.get('/gateway/narrow/slow-body').catch((error: unknown) => error);
      await eventually(() => chaos.asked('/slow-body') > 0);
      const reply = await client.get('/gateway/narrow/ok');
      expect([reply.status, reply.headers['proxy-status']]).toEqual([503, 'front; error=connection_limit_reached']);
      expect(reply.headers['retry-after']).toBe('1');
      await first;
      await eventually(async () => (await client.get('/gateway/narrow/ok')).status === 200);
    });

    it('answers with the fallback of the route when there is no answer', async () => {
      const reply = await client.get('/spare/ok');
      expect([reply.status, JSON.parse(reply.text)]).toEqual([200, { spare: true, reason: 'connection_refused' }]);
    });

    it('answers 404 for a service that it does not know', async () => {
      expect((await client.get('/gateway/unknown/ok')).status).toBe(404);
    });
  });

  describe('retries', () => {
    it.each([502, 503, 504])(
      'asks again for what may be asked twice, and hands on the last answer: %d',
      async (status) => {
        const before = chaos.seen.length;
        const path = `/flaky-${status}`;
        chaos.behaviours[path] = (_, response) =>
          chaos.asked(path) < 3 ? response.writeHead(status).end() : response.end('at last');
        expect((await client.get(`/gateway/again${path}`)).text).toBe('at last');
        expect(chaos.seen.length - before).toBe(3);
      },
    );

    it.each([500, 501, 429])('does not ask again for what would be answered so again: %d', async (status) => {
      const path = `/always-${status}`;
      chaos.behaviours[path] = (_, response) => response.writeHead(status).end();
      expect((await client.get(`/gateway/again${path}`)).status).toBe(status);
      expect(chaos.asked(path)).toBe(1);
    });

    it('does not repeat what may change something', async () => {
      const before = chaos.asked('/reset');
      expect((await client.call('/gateway/again/reset', { method: 'POST', body: 'x' })).status).toBe(502);
      expect(chaos.asked('/reset') - before).toBe(1);
    });

    it('does not repeat what has a body, which is gone', async () => {
      const before = chaos.asked('/reset');
      expect(
        (await client.call('/gateway/again/reset', { headers: { 'content-length': '1' }, body: 'x' })).status,
      ).toBe(502);
      expect(chaos.asked('/reset') - before).toBe(1);
    });

    it('makes an outage no worse: there are no more retries than the budget allows', async () => {
      chaos.behaviours['/down'] = (_, response) => response.writeHead(503).end();
      const replies = await Promise.all(Array.from({ length: 60 }, () => client.get('/gateway/spent/down')));
      expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([503]));
      expect(chaos.asked('/down')).toBeGreaterThan(60);
      // Three a second for the last ten seconds, and whoever is slow has another second.
      expect(chaos.asked('/down')).toBeLessThanOrEqual(60 + 30 + 9);
    });

    it('does not repeat the one call that a breaker tries', async () => {
      chaos.behaviours['/ill'] = (_, response) => response.writeHead(502).end('ill');
      await eventually(async () => expect((await client.get('/gateway/trial/ill')).status).toBe(503));
      await sleep(350);
      const before = chaos.asked('/ill');
      const reply = await client.get('/gateway/trial/ill');
      expect([reply.status, reply.text, chaos.asked('/ill') - before]).toEqual([502, 'ill', 1]);
    });

    it('leaves waiting to the client where the upstream asks for more than two seconds', async () => {
      const before = chaos.asked('/busy');
      expect((await client.get('/gateway/again/busy')).headers['retry-after']).toBe('7');
      expect(chaos.asked('/busy') - before).toBe(1);
    });
  });

  describe('the request that goes on', () => {
    it('has the path behind the route, the query and a host of its own', async () => {
      const { url, headers } = echoed(await client.get('/gateway/plain/echo?x=1&y=%20', { 'x-mine': 'yes' }));
      expect(url).toBe('/echo?x=1&y=%20');
      expect(headers['host']).toBe(`${HOST}:${chaos.port}`);
      expect(headers).toMatchObject({ 'x-mine': 'yes', 'x-api-key': 'k', via: '1.1 front' });
      expect(Number(headers['x-request-timeout-ms'])).toBeLessThanOrEqual(1_500);
    });

    it('says who asks, and nothing that a stranger claims', async () => {
      const claims = {
        'x-forwarded-for': '6.6.6.6',
        'x-forwarded-host': 'evil',
        forwarded: 'for=6.6.6.6',
        'x-real-ip': '6',
      };
      const { headers } = echoed(await client.get('/gateway/plain/echo', { ...claims, 'x-given': 'by the client' }));
      expect(headers).toMatchObject({
        'x-forwarded-for': HOST,
        'x-forwarded-proto': 'http',
        'x-forwarded-host': `${HOST}:${client.port}`,
        'x-given': 'by us',
      });
      expect(Object.keys(headers).filter((name) => ['forwarded', 'x-real-ip'].includes(name))).toEqual([]);
    });

    it('has none of the headers that end at this hop', async () => {
      const { headers } = echoed(
        await client.get('/gateway/plain/echo', {
          ...{
            connection: 'x-secret, keep-alive',
            'x-secret': '1',
            'keep-alive': 'timeout=5',
            te: 'trailers, deflate',
          },
          ...{ 'proxy-authorization': 'Basic x', 'proxy-connection': 'close', 'http2-settings': 'AA', upgrade: 'h2c' },
        }),
      );
      const gone = ['x-secret', 'keep-alive', 'proxy-authorization', 'proxy-connection', 'http2-settings', 'upgrade'];
      expect(gone.filter((name) => name in headers)).toEqual([]);
      expect(headers['te']).toBe('trailers');
      expect(echoed(await client.get('/gateway/plain/echo', { te: 'deflate' })).headers).not.toHaveProperty('te');
    });

    it('does not wait for a word of the upstream that its client has had from us', async () => {
      const headers = { expect: '100-continue', 'content-length': '4' };
      const reply = await client.call('/gateway/plain/echo', { method: 'POST', body: 'body', headers });
      expect(reply.status).toBe(200);
      expect(echoed(reply).body).toBe('body');
      expect(echoed(reply).headers).not.toHaveProperty('expect');
    });

    it('names the way that it came', async () => {
      const { headers } = echoed(await client.get('/gateway/plain/echo', { via: '1.0 other, 1.1 another' }));
      expect(headers['via']).toBe('1.0 other, 1.1 another, 1.1 front');
    });

    it('has no more headers than anybody needs (GW-11)', async () => {
      const named = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, '1']));
      expect((await client.get('/gateway/plain/ok', named(200))).status).toBe(200);
      const reply = await client.get('/gateway/plain/ok', named(300));
      expect([reply.status, reply.headers['proxy-status']]).toEqual([431, 'front; error=http_request_error']);
    });

    it('does not go round in circles', async () => {
      const reply = await client.get('/gateway/plain/ok', { via: '1.0 other, 1.1 front' });
      expect([reply.status, reply.headers['proxy-status']]).toEqual([508, 'front; error=proxy_loop_detected']);
    });

    it.each(['application/json', 'application/x-www-form-urlencoded', 'text/plain', 'application/octet-stream', ''])(
      'has its body byte for byte: %s',
      async (type) => {
        const body = '{"a" : 1.0,  "broken';
        const headers = type === '' ? {} : { 'content-type': type };
        const echo = echoed(await client.call('/gateway/plain/echo', { method: 'POST', headers, body }));
        expect(echo).toMatchObject({ method: 'POST', body });
        expect(echo.headers['content-type']).toBe(type === '' ? undefined : type);
      },
    );

    it('is longer than a parser would take, and is not held in memory first', async () => {
      const body = 'x'.repeat(900_000);
      const headers = { 'content-type': 'application/json' };
      expect(echoed(await client.call('/gateway/plain/echo', { method: 'PUT', headers, body })).bytes).toBe(900_000);
    });

    it.each([{ 'content-length': '1001' }, { 'transfer-encoding': 'chunked' }])(
      'is refused with 413 when it is too long: %j',
      async (headers) => {
        const reply = await client.call('/gateway/small/echo', { method: 'POST', headers, body: 'x'.repeat(1_001) });
        expect([reply.status, reply.headers['proxy-status']]).toEqual([413, 'front; error=http_request_denied']);
      },
    );

    it('goes where a handler sends it', async () => {
      expect(echoed(await client.get('/by-hand?page=2')).url).toBe('/echo?page=2');
    });

    it('goes to one upstream and no further', async () => {
      const { port } = client;
      for (const path of [
        ...['../ok', '%2e%2e/ok', '.%2e/ok', 'a/..%2fok', '..;x/ok', '/evil.example/', '%5c%5cevil.example/', 'a%00b'],
        ...['a%2fb', './ok', 'x/..', '%zz'],
      ]) {
        const seen = chaos.seen.length;
        const answer = await client.raw(
          `GET /gateway/based/${path} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nConnection: close\r\n\r\n`,
        );
        expect([path, answer.slice(9, 12)]).toEqual([path, '400']);
        expect(chaos.seen.length).toBe(seen);
      }
      expect((await client.get('/climb')).status).toBe(400);
    });
  });

  describe('the answer that comes back', () => {
    it.each(['ok', 'stream'])('gives way to an interceptor that has another one: %s', async (path) => {
      for (let round = 0; round < 2; round++) {
        const reply = await client.get(`/refused/${path}`);
        expect([reply.status, reply.text]).toEqual([403, expect.stringContaining('Forbidden')]);
        expect((await client.get('/gateway/plain/ok')).text).toBe('fine');
      }
    });

    it('leads to the gateway where it led to the upstream', async () => {
      const locations = {
        [`${chaos.origin}/base/next?x=1`]: '/gateway/based/next?x=1',
        '/base/next': '/gateway/based/next',
        '/base': '/gateway/based',
        'next?x=1': 'next?x=1',
        [`${chaos.origin}/outside`]: '/outside',
        '/outside': '/outside',
        'https://elsewhere.example/a': 'https://elsewhere.example/a',
      };
      for (const [location, expected] of Object.entries(locations)) {
        chaos.behaviours['/base/move'] = (_, response) => response.writeHead(302, { location }).end();
        const reply = await client.get('/gateway/based/move');
        expect([reply.status, reply.headers.location]).toEqual([302, expected]);
      }
    });

    it('has its headers, but for those of the connection', async () => {
      chaos.behaviours['/headers'] = (_, response) =>
        response
          .writeHead(200, {
            ...{ connection: 'x-hop, keep-alive', 'x-hop': '1', 'proxy-authenticate': 'Basic', 'x-own': 'ümläut' },
            'set-cookie': ['a=1', 'b=2'],
          })
          .end(Buffer.from('x'));
      const { headers } = await client.get('/gateway/plain/headers');
      expect(headers).toMatchObject({ 'x-own': 'ümläut', 'set-cookie': ['a=1', 'b=2'] });
      expect(Object.keys(headers).filter((name) => ['x-hop', 'proxy-authenticate'].includes(name))).toEqual([]);
    });

    it('comes as fast as the client takes it, and stops when the client goes', async () => {
      const abandoned = chaos.abandoned;
      const request = http.get({ host: HOST, port: client.port, path: '/gateway/plain/stream', agent: false });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      response.pause();
      await sleep(300);
      // What fits into the buffers of the sockets, and no more.
      expect(chaos.piecesSent).toBeLessThan(STREAM.pieces / 2);
      request.destroy();
      await eventually(() => chaos.abandoned > abandoned);
      expect(chaos.piecesSent).toBeLessThan(STREAM.pieces / 2);
    });

    it('is counted by upstream and status', async () => {
      await client.get('/gateway/plain/teapot');
      const { register } = await import('prom-client');
      await eventually(async () =>
        /cache_gateway_requests_total\{upstream="plain",code="418"\} \d/.test(await register.metrics()),
      );
      expect(await register.metrics()).toMatch(/cache_gateway_requests_total\{upstream="plain",code="499"\} \d/);
    });
  });
});

describe('GatewayModule', () => {
  const start = (upstreams: unknown, controllers: (new () => unknown)[] = []) =>
    openHttpApp({ platform: 'express', controllers, imports: [GatewayModule.forRoot({ upstreams } as never)] });
  beforeAll(() => void jest.spyOn(Logger.prototype, 'error').mockReturnValue());

  it('names everything that is wrong with its options', async () => {
    const wrong = {
      'a b': { origin: 'http://a' },
      b: { origin: 'ftp://b' },
      c: { origin: 'http://user:secret@c/path' },
      d: { origin: 'http://d', basePath: '/x/../y', timeouts: { total: 5 }, retries: {}, headers: { 'x y': '1' } },
      e: { origin: 'http://e', headers: { x: 'a\r\nevil: 1' } },
      f: {},
    };
    const error = await start(wrong).then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    for (const option of [
      'a b',
      'b.origin',
      'c.origin',
      'd.basePath',
      'd.timeouts.total',
      'd.retries',
      'd.headers',
      'e.headers',
      'f.origin',
    ]) {
      expect(error?.message).toContain(`upstreams.${option}:`);
    }
    expect(error?.message).not.toMatch(/secret|evil/);
    await expect(start({})).rejects.toThrow('upstreams: there must be at least one');
  });

  it('names the routes that cannot be forwarded', async () => {
    @Controller()
    class Wrong {
      @Get('plain')
      @Forward('orders')
      noWildcard(): void {
        // Not reached.
      }

      @Get('other/*path')
      @Forward('others')
      noUpstream(): void {
        // Not reached.
      }
    }
    const error = start({ orders: { origin: 'http://orders' } }, [Wrong]);
    await expect(error).rejects.toThrow('Wrong.noWildcard: the route needs a wildcard');
    await expect(error).rejects.toThrow('Wrong.noUpstream: there is no upstream "others"');
  });

  it('takes its options from a factory', async () => {
    const app = await openHttpApp({
      platform: 'express',
      imports: [
        GatewayModule.forRootAsync({
          inject: [CacheService],
          useFactory: () => ({ upstreams: { orders: { origin: 'http://orders' } } }),
        }),
      ],
    });
    expect(app.get(GatewayService).has('orders')).toBe(true);
    await app.close();
  });
});
