import { describeCacheOptionsContract } from '../contracts/cache-options.contract.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { openCacheApp } from '../support/cache-app.ts';
import { gatedFactory } from '../support/gate.ts';

describeCacheOptionsContract('memory', async () => ({ options: { redis: false } }));

describe('on a server', () => {
  let server: TestServers;
  const redis = () => ({ url: server.url, commandTimeout: '2s' }) as const;

  beforeAll(async () => {
    server = await startStandalone();
  });
  afterAll(() => server.stop());

  describeCacheOptionsContract('server', async () => ({ options: { redis: redis() } }));

  it.each([
    ['cluster', 1],
    ['process', 2],
  ] as const)('coalesce: %s runs the factory %d time(s) in two processes', async (coalesce, expected) => {
    const apps = await Promise.all([0, 1].map(() => openCacheApp({ redis: redis(), cache: { coalesce } })));
    const slow = gatedFactory(() => 'value');
    const first = apps[0]!.cache.getOrSet(coalesce, 60, slow);
    await slow.entered;
    const second = apps[1]!.cache.getOrSet(coalesce, 60, slow);
    setTimeout(() => slow.open(), 100);
    expect(await Promise.all([first, second])).toEqual(['value', 'value']);
    expect(slow.runs).toBe(expected);
    await Promise.all(apps.map((app) => app.close()));
  });
});
