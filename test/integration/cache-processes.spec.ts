import { setTimeout as sleep } from 'node:timers/promises';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

interface Burst {
  readonly runs: number;
  readonly values: readonly string[];
}

/** After this long the key of a dead process is taken over. */
const LEASE_MS = 10_000;
/** What a loaded machine adds. */
const NOISE_MS = 1_500;

describe('several processes on one server', () => {
  let server: TestServers;
  let workers: Worker[];
  let sequence = 0;
  let key: string;

  beforeAll(async () => {
    server = await startStandalone();
    workers = await startWorkers(8, { redis: { url: server.url, commandTimeout: '2s' } });
  }, 60_000);
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    await server.stop();
  });
  beforeEach(() => {
    key = `shared:${sequence++}`;
  });

  it.each([[50], [6_000]])(
    'run a factory of %d ms once for a thousand callers of a cold key',
    async (factoryMs) => {
      const bursts = await Promise.all(
        workers.map((worker) => worker.do<Burst>('burst', { key, callers: 125, factoryMs })),
      );
      expect(bursts.reduce((sum, { runs }) => sum + runs, 0)).toBe(1);
      expect(new Set(bursts.flatMap(({ values }) => values)).size).toBe(1);
    },
    30_000,
  );

  it.each([
    ['del', 'del', (k: string) => [k]],
    ['delByTag', 'delByTag', () => ['story']],
    ['delPattern', 'delPattern', (k: string) => [`${k}*`]],
    ['set', 'set', (k: string) => [k, 'new']],
    ['reset', 'reset', () => []],
  ] as const)('never store what one had read before another called %s', async (_, method, args) => {
    const [loader, other, third] = workers as [Worker, Worker, Worker];
    const options = { ttl: '60s', tags: ['story'] };
    await loader.do('begin', { key, value: 'old', options });
    await other.call(method, ...args(key));
    expect(await other.do('load', { key, value: 'new', options })).toBe('new');
    expect(await loader.do('finish', { key })).toBe('old');
    expect(await third.call('get', key)).toBe('new');
    expect(await loader.call('get', key)).toBe('new');
  });

  it('never store what one had read before somebody deleted the key on the server', async () => {
    const [loader, other] = workers as [Worker, Worker];
    await loader.do('begin', { key, value: 'old' });
    await server.ask('DEL', `app:v1:${key}`);
    expect(await other.do('load', { key, value: 'new' })).toBe('new');
    expect(await loader.do('finish', { key })).toBe('old');
    expect(await loader.call('get', key)).toBe('new');
  });

  it('let nobody join a load from before an invalidation elsewhere', async () => {
    const [loader, other] = workers as [Worker, Worker];
    await loader.do('begin', { key, value: 'old' });
    await other.call('del', key);
    await sleep(200);
    expect(await loader.do('load', { key, value: 'new' })).toBe('new');
    await loader.do('finish', { key });
  });

  it('take over the load of a process that was killed (F23)', async () => {
    const [victim] = await startWorkers(1, { redis: { url: server.url, commandTimeout: '2s' } });
    const survivors = workers.slice(0, 3);
    await victim!.do('begin', { key, value: 'never' });
    const waiting = survivors.map((worker) => worker.do<Burst>('burst', { key, callers: 250, factoryMs: 200 }));
    await sleep(500);
    const killedAt = performance.now();
    await victim!.kill();
    const bursts = await Promise.all(waiting);
    expect(performance.now() - killedAt).toBeLessThan(LEASE_MS + 200 + 200 + NOISE_MS);
    const runs = bursts.reduce((sum, each) => sum + each.runs, 0);
    expect(runs).toBeGreaterThan(0);
    expect(runs).toBeLessThanOrEqual(survivors.length);
    // Each process gives all who waited there the same value.
    expect(bursts.map(({ values }) => values.length)).toEqual([1, 1, 1]);
  }, 30_000);
});
