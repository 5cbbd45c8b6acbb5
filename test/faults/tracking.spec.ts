import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { CacheEngine } from '../../src/cache/cache-engine.ts';
import type { CacheModuleOptions } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { startCluster, startSentinels, startStandalone, type TestServers } from '../support/servers.ts';

/** The promise is two seconds; the rest is for a machine that is slow today. */
const BOUND_MS = 2_500;
/** Longer than names may be: the server has it hashed. */
const LONG_TAG = `long ${'t'.repeat(100)}`;

const apps: CacheApp[] = [];
const clients: Redis[] = [];
let servers: TestServers;

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(apps.splice(0).map((app) => app.close()));
  for (const client of clients.splice(0)) client.disconnect();
  await servers.stop();
});

async function open(redis: CacheModuleOptions['redis']): Promise<CacheApp> {
  const timed = { commandTimeout: '1s', ...(redis as object) } as const;
  const app = await openCacheApp({ redis: timed, keys: { maxLength: 80 }, cache: { coherence: 'tracking' } });
  apps.push(app);
  return app;
}
const connect = (port: number): Redis => {
  const client = new Redis(port, HOST);
  client.on('error', () => undefined);
  clients.push(client);
  return client;
};
const heldBy = (app: CacheApp, key: string) => app.module.get(CacheEngine).local.tier.read(key, true);

/** Has an application hold keys that another process, or nobody, wrote. */
async function warmUp(app: CacheApp, keys: readonly string[], tags: string[] = []): Promise<void> {
  await eventually(
    async () => {
      for (const key of keys) await app.cache.getOrSet(key, { ttl: '60s', tags }, () => 'old');
      return keys.every((key) => heldBy(app, key) === 'old');
    },
    { withinMs: 10_000 },
  );
}
const isForgotten = (app: CacheApp, key: string) =>
  eventually(() => heldBy(app, key) === undefined, { withinMs: BOUND_MS });

const FOREIGN: readonly (readonly [string, (raw: Redis, key: string) => Promise<unknown>])[] = [
  ['DEL', (raw, key) => raw.del(key)],
  ['SET', (raw, key) => raw.set(key, '"theirs"')],
  ['RENAME', (raw, key) => raw.rename(key, `${key}:renamed`)],
  ['FLUSHALL', (raw) => raw.flushall()],
  ['expiry', (raw, key) => raw.pexpire(key, 50)],
];

describe('one server', () => {
  let app: CacheApp;
  let raw: Redis;
  beforeEach(async () => {
    servers = await startStandalone();
    raw = connect(servers.port);
    app = await open({ url: servers.url });
  });

  it('forgets what any client changes on the server, at once', async () => {
    for (const [name, change] of FOREIGN) {
      await warmUp(app, [name]);
      if (name === 'expiry') {
        await change(raw, `app:v1:${name}`);
        // It is looked at again in between, and held again.
        await app.cache.get(name);
        await eventually(async () => (await raw.exists(`app:v1:${name}`)) === 0);
      } else {
        await change(raw, `app:v1:${name}`);
      }
      await isForgotten(app, name);
      expect([name, await app.cache.get(name)]).toEqual([name, name === 'SET' ? 'theirs' : undefined]);
    }
  });

  it('forgets what the application itself changes behind its back', async () => {
    await warmUp(app, ['k']);
    await (app.cache.getClient() as Redis).del('app:v1:k');
    expect(await isForgotten(app, 'k')).toBe(true);
  });

  it.each(['t', LONG_TAG])('forgets what carries a tag that somebody removed', async (tag) => {
    await warmUp(app, ['tagged'], [tag]);
    const [key] = await raw.keys('app:v1@tag:*');
    await raw.del(key!);
    await isForgotten(app, 'tagged');
    expect(await app.cache.get('tagged')).toBeUndefined();
  });

  it('holds on to what is not concerned', async () => {
    await warmUp(app, ['k']);
    await raw.mset('app:v1:other', '1', 'app:v1@lock:x', '1', 'app:v10:k', '1');
    await warmUp(app, ['third']);
    expect(heldBy(app, 'k')).toBe('old');
  });

  it('runs a factory once for concurrent callers, although the server tells of its lease', async () => {
    let runs = 0;
    const load = () =>
      app.cache.getOrSet('slow', { ttl: '60s', coalesce: 'process' }, async () => {
        runs++;
        await new Promise((resolve) => setTimeout(resolve, 150));
        return 'value';
      });
    const first = load();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await Promise.all([first, load(), load()])).toEqual(['value', 'value', 'value']);
    expect(runs).toBe(1);
    await eventually(async () => (await load()) === 'value' && heldBy(app, 'slow') === 'value');
  });

  it('keeps what is set for this process only, although that removes what the server has', async () => {
    await warmUp(app, ['k']);
    for (let i = 0; i < 20; i++) {
      await app.cache.set('k', 'for all', '60s');
      await app.cache.set('k', 'here', { ttl: '60s', tier: 'l1' });
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(await app.cache.get('k')).toBe('here');
    }
    const other = await open({ url: servers.url });
    await other.cache.del('k');
    expect(await isForgotten(app, 'k')).toBe(true);
  });

  it('computes for others, too, after everything was removed', async () => {
    await warmUp(app, ['first']);
    // Now the versions that entries carry are known to be on the server already.
    await warmUp(app, ['k']);
    await raw.flushall();
    await isForgotten(app, 'k');
    expect(await app.cache.getOrSet('next', '60s', () => 'made here')).toBe('made here');
    const newcomer = await open({ url: servers.url });
    expect(await newcomer.cache.getOrSet('next', '60s', () => 'made again')).toBe('made here');
  });

  it('is told again after its connections were killed', async () => {
    await warmUp(app, ['k']);
    await raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await raw.del('app:v1:k');
    await isForgotten(app, 'k');
    await warmUp(app, ['k']);
    await raw.del('app:v1:k');
    expect(await isForgotten(app, 'k')).toBe(true);
  });

  it.each([
    ['CLIENT TRACKING', '-client|tracking'],
    ['the channel', 'resetchannels &app:v1@*'],
  ])('goes on with pub/sub where the server refuses %s, and says so once', async (_, rule) => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await raw.call('ACL', 'SETUSER', 'limited', 'on', '>hunter2', '~*', '&*', '+@all', ...rule.split(' '));
    const limited = await open({ url: `redis://limited:hunter2@${HOST}:${servers.port}` });
    await warmUp(limited, ['k']);
    await app.cache.del('k');
    await isForgotten(limited, 'k');
    await warmUp(limited, ['k']);
    await raw.del('app:v1:k');
    await limited.cache.get('k');
    expect(heldBy(limited, 'k')).toBe('old');
    const told = warn.mock.calls.map(([line]) => String(line)).filter((line) => line.includes('tracking'));
    expect(told).toEqual([expect.stringMatching(/'pubsub' is used instead.*NOPERM|NOPERM.*'pubsub' is used instead/)]);
    expect(told.join()).not.toContain('hunter2');
  });
});

describe('a cluster', () => {
  const keys = Array.from({ length: 12 }, (_, index) => `k${index}`);

  it('is told by every primary, also by one that was promoted', async () => {
    servers = await startCluster();
    const app = await open({ cluster: { nodes: servers.ports.map((port) => `${HOST}:${port}`) } });
    await warmUp(app, keys);
    const cluster = app.cache.getClient()!;
    const removeAll = () => Promise.all(keys.map((key) => cluster.del(`app:v1:${key}`)));
    await removeAll();
    await Promise.all(keys.map((key) => isForgotten(app, key)));
    await connect(servers.ports[3]!).call('CLUSTER', 'FAILOVER');
    await eventually(
      async () => {
        await warmUp(app, keys);
        await removeAll();
        await Promise.all(keys.map((key) => isForgotten(app, key)));
        const clients = await connect(servers.ports[3]!).call('CLIENT', 'LIST', 'TYPE', 'pubsub');
        return String(clients).includes('flags=Pt') || /flags=\w*[tTB]/.test(String(clients));
      },
      { withinMs: 12_000, everyMs: 200 },
    );
  });
});

describe('sentinels', () => {
  it('is told by the primary of the moment', async () => {
    servers = await startSentinels();
    const [primary, replica, ...sentinels] = servers.ports as [number, number, ...number[]];
    const app = await open({ sentinels: sentinels.map((port) => `${HOST}:${port}`), sentinelName: 'main' });
    await warmUp(app, ['k']);
    await connect(primary).del('app:v1:k');
    await isForgotten(app, 'k');
    await servers.kill(0);
    await eventually(() => !app.cache.isRedisAvailable());
    await eventually(() => app.cache.isRedisAvailable(), { withinMs: 12_000 });
    await warmUp(app, ['k']);
    await connect(replica).del('app:v1:k');
    expect(await isForgotten(app, 'k')).toBe(true);
  });
});
