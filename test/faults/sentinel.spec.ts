import { setTimeout as sleep } from 'node:timers/promises';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { Load, longest } from '../support/load.ts';
import { ask, startSentinels, type TestServers } from '../support/servers.ts';

const DEADLINE_MS = 200;
const DOWN_AFTER_MS = 1_000;
const HEALTHY_WITHIN_MS = 6_000;

let servers: TestServers;
let app: CacheApp | undefined;

afterEach(async () => {
  await app?.close();
  await servers.stop();
});

it('F35: sentinels promote the replica of a frozen primary; nobody waits, and nothing deleted comes back', async () => {
  servers = await startSentinels('main', DOWN_AFTER_MS);
  const sentinels = servers.ports.slice(2).map((port) => ({ host: HOST, port }));
  app = await openCacheApp({ redis: { sentinels, sentinelName: 'main', commandTimeout: `${DEADLINE_MS}ms` } });
  const { cache } = app;
  await cache.set('deleted', 'old', '60s');
  const load = new Load(() => cache.getOrSet('key', { ttl: '60s', tier: 'l2' }, () => 'made'));
  try {
    await sleep(300);
    const frozenAt = performance.now();
    servers.pause(0);
    await cache.del('deleted');
    await eventually(() => cache.getLocalStats().mode === 'degraded');
    await eventually(() => cache.getLocalStats().mode === 'server', { withinMs: HEALTHY_WITHIN_MS + 2_000 });
    expect(performance.now() - frozenAt).toBeLessThan(HEALTHY_WITHIN_MS + load.lagMs);
    await sleep(200);
  } finally {
    await load.stop();
  }
  expect(load.samples.filter(({ error }) => error !== undefined)).toEqual([]);
  expect(longest(load.samples)).toBeLessThan(DEADLINE_MS + 100 + load.lagMs);
  expect(await ask(servers.ports[1]!, 'ROLE')).toContain('master');
  expect(await cache.get('deleted')).toBeUndefined();
  await cache.set('after', 'stored');
  expect(await ask(servers.ports[1]!, 'EXISTS', 'app:v1:after')).toBe(':1\r\n');
});
