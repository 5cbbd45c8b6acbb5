import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { INestApplication } from '@nestjs/common';
import type { App } from 'supertest/types.js';
import { VERSION } from '../../src/admin/version.ts';
import { CacheService, CircuitBreakerService, LockService, type CacheModuleOptions } from '../../src/index.ts';
import { ADMIN_TOKEN, AdminClient } from '../support/admin-client.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { openHttpApp } from '../support/http-app.ts';
import { shareServer } from '../support/shared-server.ts';
import { startStandalone } from '../support/servers.ts';

const { server, open } = shareServer();

async function start(
  options: CacheModuleOptions = {},
): Promise<{ app: INestApplication<App>; admin: AdminClient; cache: CacheService }> {
  const redis = { url: server().url, commandTimeout: '5s' } as const;
  const cache = { redis, ...options, admin: { enabled: true, token: ADMIN_TOKEN, ...options.admin } };
  const app = await openHttpApp({ platform: 'express', cache });
  open.push(app);
  return { app, admin: new AdminClient(app), cache: app.get(CacheService) };
}

it('has other instances drop what is invalidated before it answers, and breakers follow', async () => {
  const [one, other] = [await start(), await start()];
  await one.cache.set('a', 1);
  await other.cache.get('a');
  const { body } = await one.admin.send('POST', '/invalidations', { by: 'key', value: 'a' });
  expect(body).toMatchObject({ affected: 1, l1: 'dropped' });
  expect(await other.cache.get('a')).toBeUndefined();
  for (const { app } of [one, other]) await app.get(CircuitBreakerService).execute('orders', () => Promise.resolve(1));
  const order = { state: 'forced-open', scope: 'cluster', reason: 'because' };
  expect((await one.admin.send('PUT', '/breakers/orders/state', order)).body).toMatchObject({ current: 'forced-open' });
  expect((await other.admin.get('/breakers/orders')).body).toMatchObject({ state: 'forced-open' });
  const acts = (await other.admin.get('/audit')).body['items'] as { action: string }[];
  expect(acts.map(({ action }) => action)).toEqual(['breaker', 'invalidate']);
});

it('asks the server for a bounded part of its keys at a time, and never with KEYS', async () => {
  const { admin, cache } = await start();
  await cache.set('needle', 1);
  // As text: these keys are of another program, and many.
  await server().ask('EVAL', "for i = 1, 60000 do redis.call('SET', 'hay:' .. i, '') end", '0');
  const callsOf = async (command: string): Promise<number> => {
    const [, calls = '0'] =
      new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await server().ask('INFO', 'commandstats')) ?? [];
    return Number(calls);
  };
  const found: string[] = [];
  let [cursor, pages] = ['', 0];
  for (; pages < 200; pages++) {
    const before = await callsOf('scan');
    const { body } = await admin.get(`/keys?match=need*${cursor === '' ? '' : `&cursor=${cursor}`}`);
    expect((await callsOf('scan')) - before).toBeLessThanOrEqual(50);
    found.push(...(body['items'] as { key: string }[]).map(({ key }) => key));
    const { nextCursor } = body as { nextCursor: string | null };
    if (nextCursor === null) break;
    cursor = nextCursor;
  }
  expect(found).toEqual(['needle']);
  expect(pages).toBeGreaterThan(0);
  expect(await callsOf('keys')).toBe(0);
});

it('says which instance holds a lock, where one says so', async () => {
  const [one, other] = [await start(), await start()];
  const nameOf = async ({ admin }: typeof one) => (await admin.get('/status')).body['instance'];
  await one.app.get(LockService).acquire('order:1');
  await other.app.get(LockService).acquire(['order:2', 'order:3']);
  await one.cache.acquireLock('job', 60_000);
  const [here, there] = [await nameOf(one), await nameOf(other)];
  const holders = { 'order:1': here, 'order:2': there, 'order:3': there, job: null };
  for (const { admin } of [one, other]) {
    const locks = (await admin.get('/locks')).body['items'] as { name: string; holder: string | null }[];
    expect(Object.fromEntries(locks.map(({ name, holder }) => [name, holder]))).toEqual(holders);
  }
});

it('takes a confirmation that another instance has given', async () => {
  const [one, other] = [await start(), await start()];
  await one.cache.set('a:1', 1);
  const body = { by: 'pattern', value: 'a:*' };
  const { confirm } = (await one.admin.send('POST', '/invalidations', body)).body;
  expect((await other.admin.send('POST', '/invalidations', { ...body, confirm })).body).toMatchObject({ affected: 1 });
});

it('goes on without the server, and does nothing that has to be recorded and cannot be', async () => {
  const own = await startStandalone(['--requirepass', 'hunter2-secret']);
  const redis = { url: `redis://:hunter2-secret@${HOST}:${own.port}`, commandTimeout: '5s' } as const;
  const lenient = await start({ redis });
  const strict = await start({ redis, admin: { audit: 'required' } });
  const before = Date.now();
  await own.kill();
  await eventually(async () => expect((await lenient.admin.get('/status')).body).toMatchObject({ mode: 'degraded' }));
  const { since, reason } = (await lenient.admin.get('/status')).body;
  expect(reason).toMatch(/\S/);
  expect(Date.parse(since as string)).toBeGreaterThanOrEqual(before);
  for (const by of ['key', 'tag']) {
    const { status, body } = await lenient.admin.send('POST', '/invalidations', { by, value: 'a' });
    expect([status, body]).toMatchObject([200, { dryRun: false, l1: 'pending' }]);
  }
  expect((await lenient.admin.send('POST', '/invalidations', { by: 'pattern', value: 'a' })).status).toBe(503);
  expect((await lenient.admin.get('/keys')).status).toBe(503);
  expect((await lenient.admin.get('/audit')).body['items']).toHaveLength(3);
  await eventually(async () => expect((await strict.admin.get('/status')).body).toMatchObject({ mode: 'degraded' }));
  const refused = await strict.admin.send('PUT', '/breakers/x/state', { state: 'auto', reason: 'because' });
  expect([refused.status, refused.body['code']]).toEqual([503, 'AUDIT_UNAVAILABLE']);
  const { text } = await lenient.admin.get('/status');
  const shown = text + inspect(lenient.app.get(CacheService), { depth: 20, showHidden: true });
  expect(shown).not.toMatch(/hunter2|a-long-admin-token/);
  await own.stop();
});

describe('the event stream', () => {
  async function listen(
    app: INestApplication<App>,
    headers = {},
  ): Promise<{ heard: () => string; response: IncomingMessage }> {
    const { port } = new URL(await app.getUrl());
    const call = httpRequest({
      ...{ host: HOST, port, path: '/cache/admin/api/events' },
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...headers },
    }).end();
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    let text = '';
    response.on('data', (chunk: Buffer) => (text += chunk.toString())).on('error', () => undefined);
    return { heard: () => text, response };
  }

  it('tells figures, breakers and invalidations, goes on where it was lost, and says good-bye', async () => {
    const { app, admin } = await start({ redis: false });
    await app.listen(0, HOST);
    const { heard, response } = await listen(app);
    expect(response.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const circuits = app.get(CircuitBreakerService);
    await circuits.execute('orders', () => Promise.resolve(1));
    circuits.isolate('orders');
    await eventually(() => heard().includes('event: breaker'));
    await admin.send('POST', '/invalidations', { by: 'key', value: 'a' });
    await eventually(() => heard().includes('event: invalidation'));
    await eventually(() => heard().includes('event: stats'));
    const [, data = ''] = /event: stats\ndata: (.*)\n/.exec(heard()) ?? [];
    expect(JSON.parse(data)).toMatchObject({ status: { mode: 'memory' }, breakers: [{ state: 'forced-open' }] });
    const [, id = ''] = /id: (\d+)\nevent: breaker/.exec(heard()) ?? [];
    const again = await listen(app, { 'last-event-id': id });
    await eventually(() => again.heard().includes('event: invalidation'));
    expect(again.heard()).not.toContain('event: breaker');
    await app.close();
    open.length = 0;
    await eventually(() => expect(heard()).toMatch(/event: bye\ndata: \{\}\n\n$/));
  });

  it('is for twenty pages at a time', async () => {
    const { app } = await start({ redis: false });
    await app.listen(0, HOST);
    const streams = await Promise.all(Array.from({ length: 20 }, () => listen(app)));
    const late = await listen(app);
    expect([late.response.statusCode, late.response.headers['retry-after']]).toEqual([503, '30']);
    streams[0]!.response.destroy();
    await eventually(async () => expect((await listen(app)).response.statusCode).toBe(200));
  });
});

it('tells the version of the package', () => {
  const { version } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string };
  expect(VERSION).toBe(version);
});

it('does not start unprotected', () => {
  const script = `import('nestjs-keep').then(async ({ CacheModule }) => {
    const { NestFactory } = await import('@nestjs/core');
    await NestFactory.createApplicationContext(CacheModule.forRoot({ admin: { enabled: true } }), { abortOnError: false, logger: false });
  }).then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });`;
  const cwd = join(__dirname, '../..');
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd,
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([1, expect.stringContaining('CACHE_ADMIN_TOKEN') as string]);
});
