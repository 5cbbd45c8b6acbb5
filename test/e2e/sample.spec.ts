import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { PLATFORMS } from '../support/http-app.ts';
import { FaultProxy } from '../support/proxy.ts';
import { SampleProcess, type SampleOptions } from '../support/sample.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const running: SampleProcess[] = [];
let server: TestServers;
beforeAll(async () => {
  server = await startStandalone();
});
afterAll(() => Promise.all([server.stop(), ...running.map((sample) => sample.kill())]));

async function start(options: SampleOptions): Promise<SampleProcess> {
  const sample = await SampleProcess.start(options);
  running.push(sample);
  return sample;
}

const KETTLE = { id: 3, name: 'Kettle', priceCents: 4900 };

describe.each(PLATFORMS)('the sample on %s', (platform) => {
  describe.each(['memory', 'server'] as const)('with its cache in %s mode', (mode) => {
    let sample: SampleProcess;
    beforeAll(async () => {
      await server.ask('FLUSHALL');
      sample = await start({ platform, env: mode === 'server' ? { VALKEY_URL: server.url } : {} });
    });
    afterAll(() => sample.stop());

    /** What the act answers, and how many queries it took. */
    async function counted<T>(act: () => Promise<T>): Promise<{ answer: T; queries: number }> {
      const before = await sample.queries();
      const answer = await act();
      return { answer, queries: (await sample.queries()) - before };
    }

    it('asks the database for the first reader of a product only', async () => {
      const first = await counted(() => sample.get('/products/3'));
      const second = await counted(() => sample.get('/products/3'));
      expect([first.answer.body, second.answer.body]).toEqual([KETTLE, KETTLE]);
      expect([first.queries, second.queries]).toEqual([1, 0]);
    });

    it('asks the database once for many readers at a time', async () => {
      const { answer, queries } = await counted(() =>
        Promise.all(Array.from({ length: 20 }, () => sample.get('/feed/grace'))),
      );
      expect(new Set(answer.map(({ text }) => text)).size).toBe(1);
      expect(queries).toBe(1);
    });

    it('adds a product once, however often it is asked to with one key', async () => {
      const jug = { name: 'Milk jug', priceCents: 900 };
      const add = (input: object) => sample.request('POST', '/products', input, { 'idempotency-key': '"a-new-jug"' });
      const [first, again] = [await add(jug), await add(jug)];
      expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
      expect([first, again].map(({ headers }) => headers['idempotent-replayed'])).toEqual([undefined, 'true']);
      expect((await add({ ...jug, priceCents: 901 })).status).toBe(422);
      const products = (await sample.get('/products')).body as { name: string }[];
      expect(products.filter(({ name }) => name === 'Milk jug')).toHaveLength(1);
    });

    it('says in a header how long a handler took', async () => {
      const { headers } = await sample.get('/feed/ada');
      expect(headers['x-response-time']).toMatch(/^\d+\.\d+?ms$/);
    });

    it('shows a change to the next reader, and leaves other products in the cache', async () => {
      await sample.get('/products/1');
      await sample.get('/products/2');
      const changed = { name: 'Teapot', priceCents: 2600 };
      expect(await sample.request('PUT', '/products/1', changed)).toMatchObject({ status: 200 });
      expect((await sample.get('/products/1')).body).toEqual({ id: 1, ...changed });
      expect((await counted(() => sample.get('/products/2'))).queries).toBe(0);
    });

    it('shows a new product in the list', async () => {
      await sample.get('/products');
      const added = await sample.request('POST', '/products', { name: 'Strainer', priceCents: 600 });
      expect(added).toMatchObject({ status: 201, body: { name: 'Strainer', priceCents: 600 } });
      expect((await sample.get('/products')).body).toContainEqual(added.body);
    });

    it('says in a header what the cache did with a response', async () => {
      await sample.get('/products/3');
      const { headers } = await sample.get('/products/3');
      expect(headers['cache-status']).toMatch(/^"nestjs-keep";hit;ttl=\d+$/);
      expect(headers).not.toHaveProperty('x-response-time');
    });

    it('gives each user a response of their own, and nobody that of another one', async () => {
      const me = (id?: string) =>
        sample.request('GET', '/me', undefined, id === undefined ? {} : { authorization: `Bearer ${id}` });
      for (const status of ['fwd=uri-miss;stored', 'hit;ttl=']) {
        for (const id of ['ada', 'grace']) {
          const { body, headers } = await me(id);
          expect(body).toMatchObject({ id });
          expect(headers['cache-status']).toContain(status);
        }
      }
      expect(await me()).toMatchObject({ status: 401 });
    });

    it('has a feed for everybody', async () => {
      const { status, text } = await sample.get('/feed/123?page=1');
      expect(status).toBe(200);
      expect(text).toMatch(/"posts":\["/);
    });

    it('keeps the pages of a feed apart', async () => {
      const pages = ['/feed/ada', '/feed/ada?page=1', '/feed/ada?page=2', '/feed/ada?page=1000'];
      const answers = await Promise.all(pages.map((page) => sample.get(page)));
      expect(answers.map(({ body }) => (body as { posts: unknown[] }).posts.length)).toEqual([10, 10, 2, 0]);
      expect((await counted(() => Promise.all(pages.map((page) => sample.get(page))))).queries).toBe(0);
    });

    it('does not cache that something is not there', async () => {
      expect(await sample.get('/products/99')).toMatchObject({ status: 404 });
      const { answer, queries } = await counted(() => sample.get('/products/99'));
      expect([answer.status, queries]).toEqual([404, 1]);
      expect(await sample.request('PUT', '/products/99', { name: 'x', priceCents: 1 })).toMatchObject({ status: 404 });
    });

    it.each([
      ['an empty name', { name: ' ', priceCents: 1 }, /name/],
      ['a negative price', { name: 'x', priceCents: -1 }, /priceCents/],
      ['half a cent', { name: 'x', priceCents: 0.5 }, /priceCents/],
      ['a price that is a text', { name: 'x', priceCents: '1' }, /priceCents/],
      ['a property that is not known', { name: 'x', priceCents: 1, isAdmin: true }, /isAdmin/],
      ['a list', [], /object/],
      ['an empty object', {}, /name/],
      ['half of a JSON text', '{"name":', /JSON/],
    ])('refuses %s and says why', async (_what, body, reason) => {
      const { answer, queries } = await counted(() => sample.request('POST', '/products', body));
      expect(answer).toMatchObject({ status: 400, text: expect.stringMatching(reason) as string });
      expect((await sample.request('PUT', '/products/2', body)).status).toBe(400);
      expect(queries).toBe(0);
    });

    it('refuses a body that is not JSON, and one that is too large', async () => {
      const form = { 'content-type': 'application/x-www-form-urlencoded' };
      const post = (body: string, headers = {}) => sample.request('POST', '/products', body, headers);
      expect((await post('name=x', form)).status).toBe(400);
      expect((await post('plain', { 'content-type': 'text/plain' })).status).toBe(400);
      expect((await post(JSON.stringify({ name: 'x'.repeat(2 * 1024 ** 2) }))).status).toBe(413);
    });

    it.each([
      '/products/one',
      '/products/1e3',
      '/products/1%00',
      '/products/%E0%A4%A',
      '/products/__proto__',
      '/products/1/../../../etc/passwd',
      '/products/999999999999999999999999',
      '/feed/*',
      '/feed/%00',
      '/feed/..%2F..%2Fproducts',
      '/feed/ada%3Apage%3A1',
      '/feed/__proto__',
      '/feed/ada?page=0',
      '/feed/ada?page=1001',
      '/feed/ada?page=one',
      '/feed/ada?page=1&page=2',
      '//',
      '/unknown',
    ])('answers GET %s with a 4xx that tells nothing of its inside', async (path) => {
      const { status, text } = await sample.get(path);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
      expect(text).not.toMatch(/node_modules|\.ts:\d|\.js:\d|KEEP_/);
    });

    it('answers a path of 5000 characters with a 4xx', async () => {
      const { status } = await sample.get(`/feed/${'x'.repeat(5_000)}`);
      expect([400, 404, 414]).toContain(status);
    });

    it('describes itself at /docs', async () => {
      expect(await sample.get('/docs')).toMatchObject({
        status: 200,
        text: expect.stringContaining('swagger-ui') as string,
      });
      const { body } = await sample.get('/docs-json');
      const { paths } = body as { paths: Record<string, Record<string, object>> };
      expect(Object.keys(paths)).toEqual(
        expect.arrayContaining(['/products', '/products/{id}', '/feed/{userId}', '/health', '/stats/cache']),
      );
      expect(JSON.stringify(paths['/products/{id}']!['put'])).toContain('"maximum":100000000');
    });

    it('tells its health and in which mode its cache is', async () => {
      expect(await sample.get('/health')).toMatchObject({
        status: 200,
        body: { status: 'ok', details: { cache: { status: 'up', mode, openBreakers: [] } } },
      });
    });

    it('exposes the figures of its cache to Prometheus and as JSON', async () => {
      const { text } = await sample.get('/metrics');
      const hits = [...text.matchAll(/^cache_hits_total\{.*tier="l1"\} (\d+)$/gm)].map(([, count]) => Number(count));
      expect(Math.max(...hits)).toBeGreaterThan(0);
      expect(text).toContain('process_cpu_seconds_total');
      const { body } = await sample.get('/stats/cache');
      expect(body).toMatchObject({ stats: { mode }, metrics: { errors: 0, unstorable: 0, corrupt: 0 } });
    });

    it('answers no browser of another origin unless it is told to', async () => {
      const { headers } = await sample.request('GET', '/products', undefined, { origin: 'http://elsewhere.example' });
      expect(headers).not.toHaveProperty('access-control-allow-origin');
    });

    it('forwards to a service, and says in a header what the cache did with its answer', async () => {
      const forwarded = async () => {
        const { status, body, headers } = await sample.get('/gateway/feed/grace?page=1');
        return { status, body, how: String(headers['cache-status']) };
      };
      const first = await forwarded();
      expect(first).toMatchObject({ status: 200, body: (await sample.get('/feed/grace?page=1')).body });
      expect(first.how).toContain('fwd=uri-miss;stored');
      expect((await forwarded()).how).toContain(';hit;ttl=');
      expect(await sample.get('/gateway/nobody/1')).toMatchObject({ status: 404 });
      const { body } = await sample.get('/stats/circuit-breakers');
      expect(Object.keys(body as object)).toContain('gateway:feed');
    });

    it('prints the addresses that it answers at', async () => {
      const paths = sample.addresses.map((address) => new URL(address).pathname);
      expect(paths).toEqual([
        ...['/products/1', '/feed/ada', '/payments/quote', '/gateway/products/1', '/docs', '/health', '/metrics'],
        ...['/stats/cache', '/stats/circuit-breakers', '/cache/admin/'],
      ]);
      const answers = await Promise.all(paths.map((path) => sample.get(path)));
      expect(answers.map(({ status }) => status)).toEqual(paths.map(() => 200));
    });
  });
});

describe('two processes of the sample on one server', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nestjs-keep-sample-'));
  let samples: [SampleProcess, SampleProcess];
  beforeAll(async () => {
    await server.ask('FLUSHALL');
    const env = { VALKEY_URL: server.url, DATABASE_FILE: join(directory, 'tables.json') };
    samples = [await start({ platform: 'express', env }), await start({ platform: 'fastify', env })];
  });
  afterAll(async () => {
    await Promise.all(samples.map((sample) => sample.stop()));
    rmSync(directory, { recursive: true });
  });

  it('share what one of them has read', async () => {
    const [one, other] = samples;
    await one.get('/products/1');
    const before = await other.queries();
    expect((await other.get('/products/1')).body).toMatchObject({ name: 'Teapot' });
    expect(await other.queries()).toBe(before);
  });

  it('see the changes that the other makes', async () => {
    for (const [round, [writer, reader]] of [samples, [...samples].reverse()].entries()) {
      await reader!.get('/products/2');
      await reader!.get('/products');
      const changed = { name: 'Cup', priceCents: 1000 + round };
      await writer!.request('PUT', '/products/2', changed);
      // Another process may hold what it has for a moment longer: 2 s at most.
      await eventually(async () => expect((await reader!.get('/products/2')).body).toMatchObject(changed), {
        withinMs: 2_000,
      });
      await eventually(
        async () => expect((await reader!.get('/products')).body).toContainEqual({ id: 2, ...changed }),
        {
          withinMs: 2_000,
        },
      );
    }
  });
});

describe('the sample without the server that it was given', () => {
  let own: TestServers;
  let proxy: FaultProxy;
  let sample: SampleProcess;
  beforeAll(async () => {
    own = await startStandalone();
    proxy = await FaultProxy.start(own.port);
    sample = await start({ env: { VALKEY_URL: `redis://${HOST}:${proxy.port}` } });
  });
  afterAll(async () => {
    await sample.stop();
    await proxy.close();
    await own.stop();
  });

  it('takes changes that the server does not hear of, and the old value does not come back with it', async () => {
    const product = await sample.get('/products/2');
    proxy.mode = 'drop-requests';
    const changed = { name: 'Cup', priceCents: 1100 };
    expect(await sample.request('PUT', '/products/2', changed)).toMatchObject({ status: 200 });
    expect((await sample.get('/products/2')).body).toMatchObject(changed);
    proxy.mode = 'pass';
    proxy.cut();
    await eventually(async () =>
      expect((await sample.get('/stats/cache')).body).toMatchObject({ stats: { mode: 'server', journal: 0 } }),
    );
    expect((await sample.get('/products/2')).body).toEqual({ ...(product.body as object), ...changed });
  });

  it('answers from the database and says that it is degraded', async () => {
    await own.kill();
    expect((await sample.get('/products/3')).body).toEqual(KETTLE);
    await eventually(async () =>
      expect(await sample.get('/health')).toMatchObject({
        status: 200,
        body: {
          status: 'degraded',
          details: {
            cache: {
              status: 'degraded',
              mode: 'degraded',
              since: expect.stringMatching(/^\d{4}-.*Z$/) as string,
              reason: expect.stringContaining('the server cannot be used') as string,
            },
          },
        },
      }),
    );
    expect(await sample.get('/health/live')).toMatchObject({ status: 200 });
    expect((await sample.get('/metrics')).text).toMatch(/^cache_degraded 1$/m);
  });

  it('takes changes without the server', async () => {
    const added = await sample.request('POST', '/products', { name: 'Tray', priceCents: 1500 });
    expect(added.status).toBe(201);
    expect((await sample.get('/products')).body).toContainEqual(added.body);
  });

  it('goes back to the server when it is there again', async () => {
    await own.restart();
    await eventually(
      async () => expect((await sample.get('/health')).body).toMatchObject({ details: { cache: { mode: 'server' } } }),
      {
        withinMs: 10_000,
      },
    );
    await sample.get('/products/3');
    const before = await sample.queries();
    await sample.get('/products/3');
    expect(await sample.queries()).toBe(before);
  });
});

describe('the process of the sample', () => {
  it.each(PLATFORMS)('ends when it is asked to on %s', async (platform) => {
    const sample = await start({ platform, env: { VALKEY_URL: server.url } });
    await sample.get('/products/1');
    await sample.stop();
    expect(sample.isOver).toBe(true);
  });

  it('does not start with options that are wrong, and says all of them', async () => {
    await expect(start({ env: { CACHE_TTL_SECONDS: 'soon', VALKEY_PORT: '0' } })).rejects.toThrow(
      /CACHE_TTL_SECONDS[^]*VALKEY_PORT|VALKEY_PORT[^]*CACHE_TTL_SECONDS/,
    );
  });

  it('leaves none behind', () => {
    expect(running.filter((sample) => !sample.isOver)).toEqual([]);
  });
});
