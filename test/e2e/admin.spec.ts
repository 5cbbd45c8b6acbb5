import crypto from 'node:crypto';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Injectable,
  type INestApplication,
  Logger,
  Post,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import request from 'supertest';
import type { App } from 'supertest/types.js';
import { ADMIN_CONSOLE, type AdminConsole } from '../../src/admin/admin.console.ts';
import {
  CacheService,
  CircuitBreakerService,
  LockService,
  RateLimitService,
  type AdminOptions,
  type CacheModuleOptions,
} from '../../src/index.ts';
import { ADMIN_TOKEN, AdminClient, keyPath } from '../support/admin-client.ts';
import { openHttpApp, PLATFORMS, type Platform } from '../support/http-app.ts';
import { shareServer } from '../support/shared-server.ts';

const { server, open } = shareServer();

interface Started {
  readonly app: INestApplication<App>;
  readonly cache: CacheService;
  readonly admin: AdminClient;
}

interface StartOptions {
  readonly platform?: Platform;
  readonly mode?: 'memory' | 'server';
  readonly admin?: AdminOptions;
  readonly options?: CacheModuleOptions;
  readonly guard?: CanActivate;
}

async function start({
  platform = 'express',
  mode = 'memory',
  admin,
  options,
  guard,
}: StartOptions = {}): Promise<Started> {
  const redis = { redis: { url: server().url, commandTimeout: '5s' } } as const;
  const app = await openHttpApp({
    platform,
    cache: { ...(mode === 'server' && redis), ...options, admin: { enabled: true, token: ADMIN_TOKEN, ...admin } },
    providers: guard === undefined ? [] : [{ provide: APP_GUARD, useValue: guard }],
  });
  open.push(app);
  return { app, cache: app.get(CacheService), admin: new AdminClient(app) };
}

const codeOf = ({ body }: { body: Record<string, unknown> }) => body['code'];
const items = ({ body }: { body: Record<string, unknown> }) => body['items'] as Record<string, unknown>[];

/** Every route, with a body that it would accept. */
const ROUTES = [
  ['GET', '/status', undefined],
  ['GET', '/stats', undefined],
  ['GET', '/namespaces', undefined],
  ['GET', '/keys', undefined],
  ['GET', '/keys/YQ', undefined],
  ['GET', '/keys/YQ/value', undefined],
  ['DELETE', '/keys/YQ', undefined],
  ['PATCH', '/keys/YQ', { stale: true }],
  ['POST', '/invalidations', { by: 'key', value: 'a' }],
  ['GET', '/jobs/x', undefined],
  ['DELETE', '/jobs/x', undefined],
  ['GET', '/locks', undefined],
  ['DELETE', '/locks/x', { reason: 'because' }],
  ['POST', '/locks:clear', { pattern: '*', reason: 'because', confirm: true }],
  ['GET', '/limits', undefined],
  ['DELETE', '/limits/otp/ann', { reason: 'because' }],
  ['GET', '/breakers', undefined],
  ['GET', '/breakers/x', undefined],
  ['PUT', '/breakers/x/state', { state: 'closed', reason: 'because' }],
  ['GET', '/breakers/x/events', undefined],
  ['GET', '/audit', undefined],
  ['GET', '/events', undefined],
] as const;

describe.each(PLATFORMS)('the admin API on %s', (platform) => {
  it('is not there unless it is switched on', async () => {
    const app = await openHttpApp({ platform });
    open.push(app);
    const http = request(app.getHttpServer());
    for (const path of ['/cache/admin', '/cache/admin/api/status', '/cache/admin/api/openapi.json']) {
      const { status, headers } = await http.get(path);
      expect([status, headers['content-type']]).toEqual([404, 'application/json; charset=utf-8']);
    }
    expect((await http.delete('/cache/keys?pattern=*')).status).toBe(404);
    expect((await http.post('/cache/clear-locks')).status).toBe(404);
  });

  it('answers 401 on every route without the token, and with every wrong one', async () => {
    const { app } = await start({ platform });
    const refused = async (token: string | null, [method, path, body]: (typeof ROUTES)[number]) => {
      const answer = await new AdminClient(app, token).send(method, path, body);
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 401, 'UNAUTHENTICATED']);
      expect(answer.headers).toMatchObject({
        'www-authenticate': 'Bearer',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
      });
    };
    for (const route of ROUTES) await refused(null, route);
    const compared = jest.spyOn(crypto, 'timingSafeEqual');
    const wrong = ['x', 'a-long-admin-toke', `${ADMIN_TOKEN}x`, ADMIN_TOKEN.toUpperCase(), 'x'.repeat(5_000)];
    for (const token of wrong) {
      for (const route of ROUTES.slice(8, 11)) await refused(token, route);
    }
    // Neither the length nor the first wrong character ends the comparison: hashes of one length are compared.
    const sizes = compared.mock.calls.map((pair) => pair.map(({ byteLength }) => byteLength));
    compared.mockRestore();
    expect(sizes).toEqual(Array(3 * wrong.length).fill([32, 32]));
  });

  it('lets global guards decide about every route, the page and the stream', async () => {
    const { app, admin } = await start({ platform, guard: { canActivate: () => false } });
    for (const [method, path, body] of ROUTES) expect((await admin.send(method, path, body)).status).toBe(403);
    expect((await request(app.getHttpServer()).get('/cache/admin')).status).toBe(403);
  });

  it('lies where it is wanted, behind a global prefix, too', async () => {
    const app = await openHttpApp({
      platform,
      cache: { admin: { enabled: true, token: ADMIN_TOKEN, path: '/ops/keep/' } },
      configure: (each) => void each.setGlobalPrefix('v1'),
    });
    open.push(app);
    expect((await new AdminClient(app, ADMIN_TOKEN, '/v1/ops/keep/api').get('/status')).status).toBe(200);
    const seed = new AdminClient(app, ADMIN_TOKEN, '/v1/ops');
    expect((await seed.send('DELETE', '/keys', { pattern: 'x:*' })).body).toEqual({ deleted: 0 });
    expect((await request(app.getHttpServer()).get('/cache/admin')).status).toBe(404);
  });

  it.each(['', 'v1'])(
    'says that nothing is there, or that it cannot be read, in its own words: prefix "%s"',
    async (prefix) => {
      @Controller()
      class OwnController {
        // The short endpoint there is a DELETE.
        @Post(['own', 'cache/keys'])
        act(): string {
          return 'done';
        }
      }
      const app = await openHttpApp({
        platform,
        cache: { admin: { enabled: true, token: ADMIN_TOKEN } },
        controllers: [OwnController],
        configure: (each) => void each.setGlobalPrefix(prefix, { exclude: ['cache/admin'] }),
      });
      open.push(app);
      const send = async (
        method: 'get' | 'post' | 'delete',
        path: string,
        body?: string,
        type = 'application/json',
      ) => {
        const call = request(app.getHttpServer())[method](`${prefix && '/'}${prefix}${path}`);
        void call.set('authorization', `Bearer ${ADMIN_TOKEN}`);
        const answer = await (body === undefined ? call : call.type(type).send(body));
        return { answer, said: [answer.status, codeOf(answer)] };
      };
      const admin = '/cache/admin/api';
      const large = JSON.stringify({ by: 'key', value: 'x'.repeat(1_100_000) });
      const cases = [
        ['get', `${admin}/nothing`, undefined, 404, 'NOT_FOUND'],
        ['get', `${admin}/status/nothing`, undefined, 404, 'NOT_FOUND'],
        ['post', `${admin}/status`, '{}', 404, 'NOT_FOUND'],
        ['post', '/cache/admin/nothing', '{}', 404, 'NOT_FOUND'],
        ['post', '/cache/admin', '{}', 404, 'NOT_FOUND'],
        ['post', `${admin}/invalidations`, '{"by":hunter2', 400, 'BAD_REQUEST'],
        ['delete', `${admin}/keys/YQ`, '{"hunter2"', 400, 'BAD_REQUEST'],
        ['post', '/cache/clear-locks', '{"hunter2"', 400, 'BAD_REQUEST'],
        ['delete', '/cache/keys', '{"hunter2"', 400, 'BAD_REQUEST'],
        ['post', `${admin}/invalidations`, large, 413, 'BODY_TOO_LARGE'],
      ] as const;
      for (const [method, path, body, status, code] of cases) {
        const { answer, said } = await send(method, path, body);
        expect([path, ...said]).toEqual([path, status, code]);
        expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
        expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
        expect(answer.text).not.toContain('hunter2');
      }
      expect((await send('post', `${admin}/invalidations`, '<x/>', 'application/xml')).said).toEqual([
        415,
        'JSON_ONLY',
      ]);
      for (const [method, path, body] of [
        ['post', '/own', '{"x"'],
        ['post', '/cache/keys', '{'],
        ['get', '/cache/x'],
      ] as const) {
        const { answer } = await send(method, path, body);
        expect([path, answer.headers['content-type']]).toEqual([path, 'application/json; charset=utf-8']);
      }
      expect((await send('post', '/own')).answer.text).toBe('done');
    },
  );

  it('serves the page with and without a slash, under a strict policy and a new nonce each time', async () => {
    const { app } = await start({ platform });
    const pages = await Promise.all(['', '/'].map((end) => request(app.getHttpServer()).get(`/cache/admin${end}`)));
    const nonces = pages.map(({ status, text, headers }) => {
      expect(status).toBe(200);
      const policy = (headers as Record<string, string>)['content-security-policy'] ?? '';
      const [, nonce = ''] = /script-src 'nonce-([^']+)'/.exec(policy) ?? [];
      expect(policy).toBe(
        `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; ` +
          `img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
      );
      expect(text).toContain(`nonce="${nonce}"`);
      return nonce;
    });
    expect(new Set(nonces).size).toBe(2);
  });

  describe.each(['memory', 'server'] as const)('with its cache in %s mode', (mode) => {
    it('says how things stand, and what one may do', async () => {
      const { admin, cache } = await start({ platform, mode, admin: { authorize: (_, action) => action !== 'lock' } });
      await cache.namespace('shop').getOrSet('a', 60, () => 1);
      await cache.namespace('shop').getOrSet('a', 60, () => 1);
      expect((await admin.get('/status')).body).toMatchObject({
        mode: mode === 'memory' ? 'memory' : 'redis',
        redis: { topology: mode === 'memory' ? 'none' : 'standalone' },
        permissions: ['read', 'read-value', 'invalidate', 'purge-all', 'breaker', 'limit'],
      });
      const { body } = await admin.get('/stats?window=1m&group=namespace');
      expect(body).toMatchObject({ scope: 'instance', hits: 1, misses: 1, hitRatio: 0.5 });
      expect(body['groups']).toContainEqual(expect.objectContaining({ name: 'shop', hits: 1, loads: 1 }));
      const names = await admin.get('/namespaces');
      const shop = { ttl: '5m', grace: '0ms', entriesL1: 1, hitRatio: 0.5, p99Ms: expect.any(Number) as number };
      expect(items(names)).toContainEqual({ name: 'shop', ...shop });
      expect((await admin.send('DELETE', '/locks/x', { reason: 'because' })).status).toBe(403);
    });

    it('lists keys page by page, each that is there at least once, while others come and go', async () => {
      const { admin, cache } = await start({ platform, mode });
      const fixed = Array.from({ length: 1_200 }, (_, index) => `p:${index}`);
      await cache.setMany(fixed.map((key) => [key, 1]));
      const seen = new Set<string>();
      let [cursor, round]: [string | null, number] = ['', 0];
      do {
        await cache.set(`p:new:${round}`, 1);
        await cache.del(`p:new:${round++ - 2}`);
        const page = await admin.get(`/keys?match=p:*&limit=400${cursor === '' ? '' : `&cursor=${cursor}`}`);
        for (const { key } of items(page)) seen.add(key as string);
        expect(items(page).length).toBeLessThanOrEqual(400);
        cursor = page.body['nextCursor'] as string | null;
        expect(page.body['complete']).toBe(cursor === null);
      } while (cursor !== null);
      expect(fixed.filter((key) => !seen.has(key))).toEqual([]);
    });

    it('accepts a cursor for the question it was made for, only', async () => {
      const { admin, cache } = await start({ platform, mode });
      await cache.setMany(Array.from({ length: 20 }, (_, index) => [`p:${index}`, 1]));
      const { body } = await admin.get('/keys?match=p:*&limit=5');
      const cursor = body['nextCursor'] as string;
      expect((await admin.get(`/keys?match=p:*&limit=7&cursor=${cursor}`)).status).toBe(200);
      const forged = Buffer.from(cursor, 'base64url');
      forged[forged.length - 3]! ^= 1;
      const wrong = ['x', 'AAAA', forged.toString('base64url'), `${cursor}A`];
      for (const each of [...wrong.map((text) => `match=p:*&cursor=${text}`), `match=q:*&cursor=${cursor}`]) {
        const answer = await admin.get(`/keys?${each}`);
        expect([answer.status, codeOf(answer)]).toEqual([400, 'BAD_CURSOR']);
      }
    });

    it('shows a key, changes it and removes it', async () => {
      const { admin, cache } = await start({ platform, mode });
      // Fastify alone would not find a part of a path that is longer than a hundred characters.
      const key = `user:ünï/1 \u001b[31m${'x'.repeat(200)}`;
      await cache.set(key, { secret: 'hunter2' }, { ttl: '1m', grace: '1h', tags: ['users'] });
      const { status, body, text } = await admin.get(keyPath(key));
      expect([status, body]).toMatchObject([200, { key, type: 'value', stale: false, tags: ['users'] }]);
      expect(text).not.toContain('hunter2');
      expect(text).not.toContain('\u001b');
      const changed = await admin.send('PATCH', keyPath(key), { ttlMs: 5_000 });
      expect(changed.body['ttlMs']).toBeGreaterThan(3_600_000);
      expect(await cache.ttl(key)).toBeLessThanOrEqual(5);
      expect((await admin.send('PATCH', keyPath(key), { stale: true })).body).toMatchObject({ stale: true });
      expect(await cache.get(key)).toBeUndefined();
      const refuse = () => Promise.reject(new Error('down'));
      expect(await cache.getOrSet(key, { ttl: '1m', grace: '1h' }, refuse)).toEqual({ secret: 'hunter2' });
      for (const wrong of [{}, { ttlMs: 0 }, { ttlMs: 1, stale: true }, { stale: false }, { ttl: 1 }, { ttlMs: '1' }]) {
        expect((await admin.send('PATCH', keyPath(key), wrong)).status).toBe(422);
      }
      expect((await admin.send('DELETE', keyPath(key))).status).toBe(204);
      for (const [method, form] of [
        ['GET', ''],
        ['GET', '/value'],
        ['DELETE', ''],
      ] as const) {
        const answer = await admin.send(method, keyPath(key) + form);
        expect(answer.status).toBe(form === '' ? 404 : 403);
      }
      expect((await admin.get('/keys/not*base64')).status).toBe(404);
    });

    it('shows values as far as the policy goes, and never what is redacted', async () => {
      const redact = (_key: string, value: unknown) =>
        typeof value === 'object' && value !== null ? { ...value, card: '***' } : value;
      const { admin, cache } = await start({ platform, mode, admin: { values: 'preview', redact } });
      await cache.set('a', { card: '4111', when: new Date(0), big: 5n });
      await cache.set('large', 'x'.repeat(5_000));
      expect((await admin.get(`${keyPath('a')}/value`)).body).toEqual({
        key: 'a',
        value: { card: '***', when: '1970-01-01T00:00:00.000Z', big: '5' },
      });
      await cache.incrby('count', 7);
      expect((await admin.get(`${keyPath('count')}/value`)).body).toEqual({ key: 'count', value: 7 });
      expect((await admin.get(`${keyPath('large')}/value`)).status).toBe(413);
      expect((await admin.get(`${keyPath('none')}/value`)).status).toBe(404);
    });

    it('invalidates by key, keys, tag, pattern, namespace and all', async () => {
      const { admin, cache } = await start({ platform, mode });
      const shop = cache.namespace('shop');
      const fill = async () => {
        await cache.setMany([
          ['a:1', 1],
          ['a:2', 1],
          ['b:1', 1],
        ]);
        await cache.set('t', 1, { tags: ['tag'] });
        await shop.set('x', 1);
      };
      const left = async () => {
        const values = await cache.getMany(['a:1', 'a:2', 'b:1', 't']);
        return [...values, await shop.get('x')].map((value) => (value === undefined ? '0' : '1')).join('');
      };
      const acts = [
        [{ by: 'key', value: 'a:1' }, '01111', 1],
        [{ by: 'keys', value: ['a:1', 'b:1', 'none'] }, '01011', 2],
        [{ by: 'tag', value: 'tag' }, '11101', 1],
        [{ by: 'pattern', value: 'a:*' }, '00111', 2],
        [{ by: 'pattern', value: '[ab]:1', mode: 'expire' }, '01011', 2],
        [{ by: 'namespace', value: 'shop' }, '11110', 1],
        [{ by: 'all', reason: 'new release' }, '00000', 5],
      ] as const;
      for (const [body, expected, affected] of acts) {
        await fill();
        const answer = await admin.confirmed(body);
        expect([answer.status, answer.body]).toMatchObject([200, { dryRun: false, affected, l1: 'dropped' }]);
        expect(await left()).toBe(expected);
      }
    });

    it('does nothing wide without the confirmation of its own dry run', async () => {
      const { admin, cache } = await start({ platform, mode });
      await cache.setMany(Array.from({ length: 30 }, (_, index) => [`a:${index}`, 1]));
      const dry = await admin.send('POST', '/invalidations', { by: 'pattern', value: 'a:*' });
      expect(dry.body).toMatchObject({ dryRun: true, matched: 30, affected: 0, truncated: false });
      expect(dry.body['sample']).toHaveLength(20);
      const { confirm } = dry.body;
      const refused = [
        { by: 'pattern', value: 'a:*', dryRun: false },
        { by: 'pattern', value: 'a:1*', confirm },
        { by: 'namespace', value: 'a', confirm },
        { by: 'pattern', value: 'a:*', mode: 'expire', confirm },
        { by: 'pattern', value: 'a:*', confirm: `${String(confirm)}x` },
        { by: 'pattern', value: 'a:*', confirm: 'zzzzzzzz.AAAA' },
      ];
      for (const body of refused) {
        const answer = await admin.send('POST', '/invalidations', body);
        expect([answer.status, codeOf(answer)]).toEqual([409, 'CONFIRM']);
      }
      expect(await cache.has('a:1')).toBe(true);
      const again = await admin.send('POST', '/invalidations', { by: 'pattern', value: 'a:*', dryRun: true, confirm });
      expect(again.body).toMatchObject({ dryRun: true, affected: 0 });
      expect((await admin.send('POST', '/invalidations', { by: 'pattern', value: 'a:*', confirm })).status).toBe(200);
      expect(await cache.has('a:1')).toBe(false);
    });

    it('says what is wrong with a request before it asks for confirmation', async () => {
      const { admin } = await start({ platform, mode });
      const wrong = [
        {},
        [],
        { by: 'pattern' },
        { by: 'pattern', value: ' ' },
        { by: 'pattern', value: 7 },
        { by: 'key', value: ['a'] },
        { by: 'keys', value: 'a' },
        { by: 'keys', value: [] },
        { by: 'all' },
        { by: 'all', reason: 'no' },
        { by: 'all', value: 'x', reason: 'because' },
        { by: 'everything', value: 'x' },
        { by: 'key', value: 'a', dryrun: true },
        { by: 'key', value: 'a', maxKeys: 0 },
        { by: 'key', value: 'a', mode: 'DELETE' },
      ];
      for (const body of wrong) {
        const answer = await admin.send('POST', '/invalidations', body);
        expect([answer.status, JSON.stringify(body)]).toEqual([422, JSON.stringify(body)]);
        expect(answer.body['errors']).not.toHaveLength(0);
      }
    });

    it('does long work in the background', async () => {
      const { admin, cache } = await start({ platform, mode });
      for (let part = 0; part < 6; part++) {
        await cache.setMany(Array.from({ length: 900 }, (_, index) => [`j:${part}:${index}`, 1]));
      }
      const answer = await admin.confirmed({ by: 'pattern', value: 'j:*' });
      expect(answer.status).toBe(202);
      const { id } = answer.body as { id: string };
      expect(answer.headers['location']).toBe(`jobs/${id}`);
      let state: unknown;
      for (let tries = 0; tries < 200 && state !== 'done'; tries++)
        state = (await admin.get(`/jobs/${id}`)).body['state'];
      expect((await admin.get(`/jobs/${id}`)).body).toMatchObject({ state: 'done', affected: 5_400 });
      expect(await cache.has('j:0:1')).toBe(false);
      expect((await admin.send('DELETE', `/jobs/${id}`)).status).toBe(202);
      expect((await admin.send('DELETE', '/jobs/none')).status).toBe(404);
    });

    it('shows locks, frees them with a reason, and clears them', async () => {
      const { app, admin } = await start({ platform, mode });
      const locks = app.get(LockService);
      const lock = await locks.acquire('order/1');
      await locks.acquire('order/2');
      const list = items(await admin.get('/locks'));
      expect(list.map(({ name }) => name).sort()).toEqual(['order/1', 'order/2']);
      const { instance } = (await admin.get('/status')).body;
      expect(list.map(({ holder }) => holder)).toEqual([instance, instance]);
      expect(JSON.stringify(list)).not.toContain(lock.token);
      expect((await admin.send('DELETE', '/locks/order%2F1')).status).toBe(422);
      expect((await admin.send('DELETE', '/locks/order%2F1', { reason: 'stuck' })).status).toBe(204);
      expect((await admin.send('DELETE', '/locks/order%2F1', { reason: 'stuck' })).status).toBe(404);
      expect((await admin.send('POST', '/locks:clear', { pattern: '*', reason: 'stuck' })).status).toBe(409);
      expect((await admin.send('POST', '/locks:clear', { pattern: 'x*', reason: 'stuck' })).body).toEqual({
        cleared: 0,
      });
      expect((await admin.send('POST', '/locks:clear', { pattern: 'order*', reason: 'stuck' })).body).toEqual({
        cleared: 1,
      });
      await lock.release();
      const next = await locks.acquire('order/1');
      expect(next.fence).toBeGreaterThan(lock.fence);
      await next.release();
    });

    it('shows where a subject stands, and gives the quota back', async () => {
      const policies = { otp: { name: 'otp', limit: 5, window: '1h' } } as const;
      const { app, admin } = await start({ platform, mode, options: { rateLimit: { policies } } });
      await app.get(RateLimitService).consume('otp', 'ann@example.com');
      const answer = await admin.get('/limits?policy=otp&subject=ann@example.com');
      expect(items(answer)).toMatchObject([{ policy: 'otp', used: 1, limit: 5, blocked: false }]);
      expect(answer.text).not.toContain('ann');
      expect(items(await admin.get('/limits'))).toMatchObject([{ policy: 'otp', used: null }]);
      expect((await admin.get('/limits?policy=none&subject=x')).status).toBe(404);
      const path = '/limits/otp/ann%40example.com';
      expect((await admin.send('DELETE', path, { reason: 'a mistake' })).status).toBe(204);
      expect(items(await admin.get('/limits?policy=otp&subject=ann@example.com'))).toMatchObject([{ used: 0 }]);
      expect((await admin.get('/audit?action=limit')).text).not.toContain('ann');
    });

    it('records every act, refused ones too, newest first', async () => {
      const { app, admin, cache } = await start({ platform, mode });
      await cache.set('a', 1);
      await admin.send('POST', '/invalidations', { by: 'key', value: 'a', reason: 'wrong price' });
      await admin.send('POST', '/invalidations', { by: 'pattern', value: 'a*', dryRun: false });
      await admin.send('POST', '/invalidations', { by: 'pattern' });
      await admin.send('PUT', '/breakers/none/state', { state: 'closed', reason: 'because' });
      await new AdminClient(app, 'wrong').send('DELETE', keyPath('a'));
      const records = items(await admin.get('/audit'));
      expect(records.map(({ action, outcome }) => [action, outcome])).toEqual([
        ['invalidate', 'UNAUTHENTICATED'],
        ['breaker', 'NOT_FOUND'],
        ['invalidate', 'INVALID_REQUEST'],
        ['invalidate', 'CONFIRM'],
        ['invalidate', 'done'],
      ]);
      const ip = expect.stringContaining('127.0.0.1') as string;
      expect(records.at(-1)).toMatchObject({ actor: 'token', target: 'key a', affected: 1, reason: 'wrong price', ip });
      // Who has no token may be anybody.
      expect(records[0]).toMatchObject({ actor: 'unknown', ip, target: `DELETE /cache/admin/api${keyPath('a')}` });
      expect(items(await admin.get('/audit?action=breaker'))).toHaveLength(1);
      const first = await admin.get('/audit?limit=2');
      const second = await admin.get(`/audit?limit=2&cursor=${first.body['nextCursor'] as string}`);
      expect(items(second)).toEqual(records.slice(2, 4));
    });
  });

  it('changes nothing for another site, and reads JSON only', async () => {
    const { admin, app } = await start({ platform });
    const body = { by: 'key', value: 'a' };
    const post = (headers: Record<string, string>) => admin.send('POST', '/invalidations', body, headers);
    expect((await post({ 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await post({ 'sec-fetch-site': 'same-site' })).status).toBe(403);
    expect((await post({ origin: 'http://elsewhere.example' })).status).toBe(403);
    expect((await post({ origin: 'null' })).status).toBe(403);
    expect((await post({ 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    expect((await post({ 'sec-fetch-site': 'none' })).status).toBe(200);
    expect((await post({ host: 'shop.example', origin: 'https://shop.example' })).status).toBe(200);
    const form = await request(app.getHttpServer())
      .post('/cache/admin/api/invalidations')
      .set('authorization', `Bearer ${ADMIN_TOKEN}`)
      .type('text/plain')
      .send(JSON.stringify(body));
    expect(form.status).toBe(415);
    expect((await admin.send('POST', '/locks:clear')).status).toBe(415);
    expect((await admin.send('DELETE', keyPath('a'))).status).toBe(404);
  });

  it('clears everything for those only who may, and never by two stars without a word', async () => {
    const { admin, app, cache } = await start({
      platform,
      admin: { authorize: (_, action) => action !== 'purge-all' },
    });
    await cache.set('a', 1);
    const all = await admin.send('POST', '/invalidations', { by: 'all', reason: 'because', dryRun: true });
    expect([all.status, codeOf(all)]).toEqual([403, 'FORBIDDEN']);
    const short = new AdminClient(app, ADMIN_TOKEN, '/cache');
    expect((await short.send('DELETE', '/keys', { pattern: '**' })).status).toBe(409);
    expect(await cache.has('a')).toBe(true);
  });

  it('previews neither a large value nor one that became large', async () => {
    const redact = (key: string) => (key === 'large' ? 'x' : 'x'.repeat(5_000));
    const { admin, cache } = await start({ platform, admin: { values: 'preview', redact } });
    await cache.set('large', 'x'.repeat(5_000));
    await cache.set('grown', 'x');
    for (const key of ['large', 'grown']) expect((await admin.get(`${keyPath(key)}/value`)).status).toBe(413);
  });

  it('counts the requests of each user apart', async () => {
    const names: CanActivate = {
      canActivate: (context) => {
        const call = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: unknown }>();
        call.user = { id: call.headers['x-user'] };
        return true;
      },
    };
    const { admin } = await start({ platform, guard: names });
    const list = (user: string) => admin.send('GET', '/limits', undefined, { 'x-user': user });
    for (let times = 0; times < 60; times++) await list('ann');
    expect((await list('ann')).status).toBe(429);
    expect((await list('bob')).status).toBe(200);
  });

  it('tells nothing of an error that nobody expected, not in the log either', async () => {
    const logged = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const redact = () => {
      throw new TypeError('hunter2');
    };
    const { app, cache } = await start({ platform, admin: { values: 'full', redact } });
    await cache.set('a', 'hunter2');
    const answer = await request(app.getHttpServer())
      .get(`/cache/admin/api${keyPath('a')}/value`)
      .set('authorization', `Bearer ${ADMIN_TOKEN}`);
    expect([answer.status, codeOf(answer as { body: Record<string, unknown> })]).toEqual([500, 'INTERNAL']);
    expect(logged.mock.calls).toEqual([['A request failed: TypeError']]);
    expect(answer.text).not.toContain('hunter2');
    logged.mockRestore();
  });

  it('asks the guards of the application, and what they let in is allowed what authorize says', async () => {
    @Injectable()
    class UserGuard implements CanActivate {
      canActivate(context: ExecutionContext): boolean {
        const call = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: unknown }>();
        call.user = { id: call.headers['x-user'] };
        return call.headers['x-user'] !== undefined;
      }
    }
    const app = await openHttpApp({
      platform,
      cache: {
        admin: {
          enabled: true,
          guards: [UserGuard],
          authorize: (context, action) =>
            action === 'read' || context.switchToHttp().getRequest<{ user: { id: string } }>().user.id === 'root',
        },
      },
    });
    open.push(app);
    const admin = new AdminClient(app, null);
    expect((await admin.get('/status')).status).toBe(403);
    expect((await admin.send('GET', '/status', undefined, { 'x-user': 'ann' })).body['permissions']).toEqual(['read']);
    const act = { by: 'key', value: 'a' };
    expect((await admin.send('POST', '/invalidations', act, { 'x-user': 'ann' })).status).toBe(403);
    expect((await admin.send('POST', '/invalidations', act, { 'x-user': 'root' })).status).toBe(200);
    const { body } = await admin.send('GET', '/audit', undefined, { 'x-user': 'ann' });
    expect(items({ body }).map(({ actor, outcome }) => [actor, outcome])).toEqual(
      [
        ['root', 'done'],
        ['ann', 'FORBIDDEN'],
        ['unknown', 'FORBIDDEN'].map((text) => (text === 'unknown' ? 'token' : text)),
      ].slice(0, 2),
    );
  });

  it('bounds how often lists and acts are asked for, and tokens guessed, but not what the page watches', async () => {
    const { app, admin } = await start({ platform });
    for (let times = 0; times < 60; times++) expect((await admin.get('/keys')).status).toBe(200);
    const refused = await admin.get('/keys');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await admin.send('DELETE', keyPath('a'))).status).toBe(429);
    // They would fill the trail.
    const { audit } = app.get<AdminConsole>(ADMIN_CONSOLE);
    expect((await audit.list(undefined, 10, {})).items).toEqual([]);
    for (let times = 0; times < 70; times++) expect((await admin.get('/breakers')).status).toBe(200);
    const guess = new AdminClient(app, 'wrong');
    for (let times = 0; times < 20; times++) expect((await guess.get('/status')).status).toBe(401);
    expect((await guess.get('/status')).status).toBe(429);
    expect((await admin.get('/status')).status).toBe(200);
  });

  it('holds breakers open and closed by hand', async () => {
    const { app, admin } = await start({ platform });
    const circuits = app.get(CircuitBreakerService);
    const call = () => circuits.execute('orders', () => Promise.resolve('ok')).catch(() => 'refused');
    await call();
    const set = (body: object) => admin.send('PUT', '/breakers/orders/state', { reason: 'because', ...body });
    expect((await set({ state: 'forced-open' })).body).toMatchObject({ previous: 'closed', current: 'forced-open' });
    expect(await call()).toBe('refused');
    expect((await admin.get('/breakers/orders')).body).toMatchObject({ opensAtMs: expect.any(Number) as number });
    expect((await set({ state: 'auto' })).body).toMatchObject({ previous: 'forced-open', current: 'closed' });
    expect(await call()).toBe('ok');
    expect((await set({ state: 'disabled' })).body).toMatchObject({ current: 'disabled' });
    const fail = () => circuits.execute('orders', () => Promise.reject(new Error('down'))).catch(() => undefined);
    for (let times = 0; times < 20; times++) await fail();
    expect(await call()).toBe('ok');
    expect((await set({ state: 'auto' })).body).toMatchObject({ previous: 'disabled', current: 'closed' });
    expect((await set({ state: 'forced-open', ttlMs: 1_000, scope: 'cluster' })).body['acks']).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect((await admin.get('/breakers/orders')).body).toMatchObject({ state: 'closed' });
    expect((await admin.send('PUT', '/breakers/none/state', { state: 'auto', reason: 'because' })).status).toBe(404);
    for (const wrong of [{ state: 'open' }, { state: 'auto', reason: 'no' }, { state: 'auto', ttlMs: 5 }]) {
      expect((await set(wrong)).status).toBe(422);
    }
    const events = await admin.get('/breakers/orders/events?limit=1');
    expect(items(events)).toMatchObject([{ from: 'forced-open', to: 'closed' }]);
    const more = await admin.get(`/breakers/orders/events?cursor=${events.body['nextCursor'] as string}`);
    expect(items(more).length).toBeGreaterThan(2);
  });

  it('has the two short endpoints', async () => {
    const { app, cache } = await start({ platform });
    const short = new AdminClient(app, ADMIN_TOKEN, '/cache');
    const fill = () => cache.setMany([['p:1', 1], ['p:2', 1], ['q:1', 1]]); // prettier-ignore
    await fill();
    expect((await short.send('DELETE', '/keys?pattern=p:*')).body).toEqual({ deleted: 2 });
    expect((await short.send('DELETE', '/keys', { pattern: 'q:*' })).body).toEqual({ deleted: 1 });
    await fill();
    expect((await short.send('DELETE', '/keys?pattern=*')).status).toBe(409);
    expect((await short.send('DELETE', '/keys')).status).toBe(422);
    expect((await short.send('DELETE', '/keys?pattern=*&confirm=true')).body).toEqual({ deleted: 3 });
    await app.get(LockService).acquire('a');
    expect((await short.send('POST', '/clear-locks', {})).status).toBe(409);
    expect((await short.send('POST', '/clear-locks', { confirm: true })).body).toEqual({ cleared: 1 });
    expect((await new AdminClient(app, 'wrong', '/cache').send('POST', '/clear-locks', {})).status).toBe(401);
  });
});

it('documents what every operation is called', async () => {
  const { admin } = await start();
  const { body } = await admin.get('/openapi.json');
  const paths = body['paths'] as Record<string, Record<string, { operationId: string }>>;
  const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
  expect(ids).toHaveLength(22);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every((id) => id.startsWith('cache.'))).toBe(true);
});
