import { setTimeout as sleep } from 'node:timers/promises';
import { Test } from '@nestjs/testing';
import { CacheModule, type CacheModuleOptions, LockLostError, LockService } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { type Hold, lockViolations } from '../support/history.ts';
import { startSentinels, startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

jest.setTimeout(120_000);

const optionsFor = (port: number): CacheModuleOptions => ({
  redis: { url: `redis://${HOST}:${port}`, commandTimeout: '2s' },
  logLevel: 'fatal',
});
const open = async (options: CacheModuleOptions) => {
  const app = await Test.createTestingModule({ imports: [CacheModule.forRoot(options)] })
    .compile()
    .then((module) => module.init());
  return { app, locks: app.get(LockService) };
};
const now = () => performance.timeOrigin + performance.now();

/** A lease that no fault of these tests lets end by itself unnoticed: what is held for certain is what counts. */
const OPTIONS = { ttl: '800ms', wait: '30s' };

describe('locks, for as long as it takes', () => {
  let servers: TestServers;
  let workers: Worker[];
  const start = async (count: number, opening = startStandalone()): Promise<void> => {
    servers = await opening;
    workers = await startWorkers(count, optionsFor(servers.port), 'lock-worker.mjs');
  };
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    await servers.stop();
  });

  it('F36: four processes take a lock 200 times', async () => {
    await start(4);
    const work = { resource: 'hot', callers: 10, times: 5, sectionMs: 2, options: { wait: '60s' } };
    const holds = (await Promise.all(workers.map((worker) => worker.do<Hold[]>('contend', work)))).flat();
    expect(holds).toHaveLength(200);
    expect(lockViolations(holds)).toEqual([]);
  });

  const faults: Record<string, (victim: Worker) => Promise<void>> = {
    'a process is killed': (victim) => victim.kill(),
    'a process is stopped for longer than its lease': async (victim) => {
      victim.signal('SIGSTOP');
      await sleep(2_400);
      victim.signal('SIGCONT');
    },
    'a process stalls for longer than its lease': async (victim) => {
      await victim.do('hold', { resource: 'other', options: { ttl: '1s' } });
      await victim.do('stall', { resource: 'other', ms: 2_400 });
    },
    'the server is restarted without its data': () => servers.restart(),
    'the server hangs for longer than the lease': async () => {
      servers.pause();
      await sleep(1_500);
      servers.resume();
    },
  };

  it.each(Object.entries(faults))('never has two certain holders while %s', async (_, inject) => {
    await start(4);
    const untilMs = now() + 12_000;
    const work = { resource: 'hot', callers: 3, times: 10_000, sectionMs: 20, untilMs, options: OPTIONS };
    const running = workers.map((worker) => worker.do<Hold[]>('contend', work).catch(() => []));
    for (let round = 0; round < 3; round++) {
      await sleep(1_500);
      await inject(workers[round]!);
    }
    const victim = workers[3]!;
    const holds = (await Promise.all([...running.slice(3), ...running.slice(0, 3).map(orNothing)])).flat();
    expect(holds.length).toBeGreaterThan(20);
    expect(lockViolations(holds)).toEqual([]);
    await victim.kill();
  });

  it('F43: does not give out a lock with replicas that a failover forgets', async () => {
    servers = await startSentinels();
    workers = [];
    const sentinels = servers.ports.slice(2).map((port) => ({ host: HOST, port }));
    const options = { redis: { sentinels, sentinelName: 'main', commandTimeout: '2s' }, logLevel: 'fatal' } as const;
    const { app, locks } = await open(options);
    const safe = await eventually(() => locks.acquire('safe', { replicas: 1, ttl: '5m' }), { withinMs: 20_000 });
    await servers.kill(0);
    await eventually(() => locks.isHeld('safe'), { withinMs: 30_000 });
    expect(safe.signal.aborted).toBe(false);
    expect(await locks.tryAcquire('safe')).toBeNull();
    expect(await safe.release()).toBe(true);
    await app.close();
  });

  it('does not free a lock whose work goes on for longer than a shutdown waits', async () => {
    servers = await startStandalone();
    workers = [];
    const [{ app, locks }, { app: other, locks: others }] = [
      await open(optionsFor(servers.port)),
      await open(optionsFor(servers.port)),
    ];
    let finish!: () => void;
    const work = locks.withLock('r', () => new Promise<void>((resolve) => (finish = resolve)), 60);
    await eventually(() => others.isHeld('r'));
    const startedAt = performance.now();
    await app.close();
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    expect(await others.isHeld('r')).toBe(true);
    finish();
    await expect(work).rejects.toThrow(LockLostError);
    await other.close();
  });
});

/** What a killed process had done is not known. */
const orNothing = (holds: Promise<Hold[]>): Promise<Hold[]> => Promise.race([holds, sleep(20_000, [], { ref: false })]);
