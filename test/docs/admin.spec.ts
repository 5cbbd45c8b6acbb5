import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { INestApplication } from '@nestjs/common';
import type { App } from 'supertest/types.js';
import { CacheService, CircuitBreakerService, LockService, RateLimitService } from '../../src/index.ts';
import { ADMIN_TOKEN, AdminClient, type AdminMethod } from '../support/admin-client.ts';
import { openHttpApp } from '../support/http-app.ts';

const PAGE = readFileSync(join(__dirname, '../../docs/admin.md'), 'utf8');
const COMMAND =
  /^curl (?<flags>.*?)-H "Authorization: Bearer \$TOKEN" (?:--json '(?<json>.*)' )?"?\$ADMIN(?<path>[^"\s]+)"?$/gm;
const KEY = Buffer.from('product:1').toString('base64url');

describe('the commands of docs/admin.md', () => {
  let app: INestApplication<App>;
  let admin: AdminClient;
  beforeAll(async () => {
    const rateLimit = { policies: { otp: { name: 'otp', limit: 3, window: '1m' } } } as const;
    const cache = { rateLimit, admin: { enabled: true, token: ADMIN_TOKEN } };
    app = await openHttpApp({ platform: 'express', cache });
    admin = new AdminClient(app);
    for (const id of [1, 2]) await app.get(CacheService).set(`product:${id}`, id, { ttl: '1m', tags: ['products'] });
    await app.get(CircuitBreakerService).execute('orders', () => Promise.resolve(1));
    await app.get(LockService).acquire('order:create:u42');
    await app.get(RateLimitService).consume('otp', '+4912345');
  });
  afterAll(() => app.close());

  it('do what they say', async () => {
    const commands = [...PAGE.matchAll(COMMAND)].map(({ groups = {} }) => groups);
    expect(commands).toHaveLength(PAGE.match(/^curl /gm)?.length ?? 0);
    expect(commands.length).toBeGreaterThan(15);
    let confirm = '';
    for (const { flags = '', json, path = '' } of commands) {
      // The stream does not end; its own tests read it.
      if (flags.includes('-N')) continue;
      const method = (/-X (\w+)/.exec(flags)?.[1] ?? (json === undefined ? 'GET' : 'POST')) as AdminMethod;
      const body: unknown = json === undefined ? undefined : JSON.parse(json.replace('…', confirm));
      const answer = await admin.send(method, path.replace('$KEY', KEY), body);
      expect({ method, path, isDone: [200, 204].includes(answer.status) }).toEqual({ method, path, isDone: true });
      confirm = typeof answer.body['confirm'] === 'string' ? answer.body['confirm'] : confirm;
    }
    expect(await app.get(CacheService).getMany(['product:1', 'product:2'])).toEqual([undefined, undefined]);
    expect((await app.get(LockService).list()).items).toEqual([]);
    expect((await app.get(RateLimitService).check('otp', '+4912345')).remaining).toBe(3);
  });
});
