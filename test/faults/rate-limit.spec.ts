import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheModuleOptions, RateLimitPolicy } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { windowViolations } from '../support/history.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

const PROCESSES = 4;
const LIMIT = 100;
const BURST = 50;
/** Long enough for a busy machine to finish a few bursts in. */
const WINDOW_MS = 4_000;
const policy: RateLimitPolicy = { name: 'api', limit: LIMIT, window: `${WINDOW_MS}ms` };

/** One call of one process. */
interface Answer {
  readonly allowed: boolean | string;
  readonly degraded?: boolean;
  readonly askedAt: number;
  readonly answeredAt: number;
}

const monotonic = () => Number(process.hrtime.bigint() / 1_000n) / 1_000;

describe('rate limits of four processes', () => {
  let servers: TestServers;
  let workers: Worker[];
  let subjects = 0;
  let subject: string;

  const options = (redis: CacheModuleOptions['redis']): CacheModuleOptions => ({
    redis: redis!,
    rateLimit: { instances: PROCESSES },
    metrics: { enabled: false },
    logLevel: 'fatal',
  });

  beforeAll(async () => {
    servers = await startStandalone();
    workers = await startWorkers(PROCESSES, options({ url: servers.url, commandTimeout: '1s' }));
  }, 60_000);
  beforeEach(() => (subject = `subject ${++subjects}`));
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    await servers.stop();
  });

  /** Every process calls as often as `BURST` says, at the same moment. */
  async function burst(by: RateLimitPolicy = policy): Promise<Answer[]> {
    const args = { policy: by, subject, calls: BURST, at: monotonic() + 30 };
    return (await Promise.all(workers.map((worker) => worker.do<Answer[]>('limit', args)))).flat();
  }
  async function bursts(count: number, pauseMs: number, by?: RateLimitPolicy): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (let i = 0; i < count; i++) {
      answers.push(...(await burst(by)));
      await sleep(pauseMs);
    }
    return answers;
  }
  const admitted = (answers: readonly Answer[]) => answers.filter(({ allowed }) => allowed === true);
  /** The most that any window may have held, by when calls were certainly made. */
  const exceedsBy = (answers: readonly Answer[], limit: number) =>
    windowViolations(admitted(answers), limit, WINDOW_MS);
  const untilServed = (by: RateLimitPolicy = policy) =>
    eventually(
      async () => (await Promise.all(workers.map((worker) => worker.call<boolean>('isRedisAvailable')))).every(Boolean),
      { withinMs: 15_000 },
    ).then(() => by);

  it('admit exactly the limit of synchronised bursts, and over no window more (F45)', async () => {
    const first = await burst();
    expect(admitted(first)).toHaveLength(LIMIT);
    // Longer than a window and a twelfth, also where a burst takes no time.
    const later = await bursts(24, 200);
    expect(exceedsBy([...first, ...later], LIMIT)).toEqual([]);
    // The quota came back, so windows were crossed.
    expect(admitted(later).length).toBeGreaterThan(LIMIT / 2);
  });

  it('do not depend on the clocks of the processes (F46)', async () => {
    for (const [at, worker] of workers.entries()) await worker.do('skew', { ms: (at - 1.5) * 10_000 });
    expect(admitted(await bursts(3, 20))).toHaveLength(LIMIT);
    for (const [at, worker] of workers.entries()) await worker.do('skew', { ms: (at - 1.5) * -10_000 });
  });

  it('hold while the server forgets its scripts (F54)', async () => {
    const flushing = setInterval(() => void servers.ask('SCRIPT', 'FLUSH'), 50);
    const answers = await bursts(4, 60);
    clearInterval(flushing);
    expect(admitted(answers)).toHaveLength(LIMIT);
    expect(answers.every(({ degraded }) => degraded === false)).toBe(true);
  });

  it('share out what is left when the server is killed, and then the whole quota (F47)', async () => {
    // The second one tells each process that nothing is left.
    const before = await bursts(2, 20);
    expect(admitted(before)).toHaveLength(LIMIT);
    await servers.kill();
    const during = await bursts(3, 50);
    expect(admitted(during).length).toBeLessThanOrEqual(PROCESSES);
    await sleep((WINDOW_MS * 13) / 12);
    const later = await bursts(3, 50);
    expect(admitted(later)).toHaveLength(LIMIT);
    expect(admitted(later).every(({ degraded }) => degraded)).toBe(true);
    expect(exceedsBy([...before, ...during, ...later], LIMIT + PROCESSES)).toEqual([]);

    // The server hears of it before it judges again: it starts empty, and the quota of this window is spent.
    await servers.restart();
    await untilServed();
    const after = await burst();
    expect(exceedsBy([...later, ...after], LIMIT + PROCESSES)).toEqual([]);
    expect(after.some(({ degraded }) => degraded === false)).toBe(true);
  }, 40_000);

  it('are seeded again when the server comes back without its data (F49)', async () => {
    const small = { ...policy, name: 'seeded' };
    const before: Answer[] = [];
    for (const worker of workers) {
      before.push(...(await worker.do<Answer[]>('limit', { policy: small, subject, calls: 15, at: 0 })));
    }
    expect(admitted(before)).toHaveLength(60);
    await servers.restart();
    await untilServed();
    const after = await bursts(2, 20, small);
    expect(admitted(after).length).toBeGreaterThan(0);
    expect(admitted([...before, ...after]).length).toBeLessThanOrEqual(LIMIT + PROCESSES);
  }, 40_000);

  it.each([
    ['reject', 'KEEP_STORE_UNAVAILABLE'],
    ['allow', true],
  ] as const)(
    'are %s on an outage where the policy says so, also for who was refused before (F48)',
    async (onOutage, told) => {
      const by = { ...policy, name: onOutage, limit: 1, onOutage } as const;
      await burst(by);
      await servers.kill();
      // The first calls may be under way when it is noticed.
      await eventually(async () => (await burst(by)).every(({ allowed }) => allowed === told), { withinMs: 10_000 });
      await servers.restart();
      await untilServed();
    },
    40_000,
  );
});
