import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreUnavailableError } from '../../src/common/errors.ts';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';
import { MemoryRateLimitStore } from '../../src/rate-limit/memory-rate-limit.store.ts';
import { SLIDING_WINDOW } from '../../src/rate-limit/rate-limit.lua.ts';
import { RateLimitService } from '../../src/rate-limit/rate-limit.service.ts';
import { RedisRateLimitStore } from '../../src/rate-limit/redis-rate-limit.store.ts';
import { bucketWidthUs, SlidingWindow } from '../../src/rate-limit/sliding-window.ts';
import { RedisConnection } from '../../src/redis/redis.connection.ts';
import { REDIS_TIMEOUTS } from '../../src/redis/redis.options.ts';
import { defineScript } from '../../src/redis/redis.script.ts';
import { describeRateLimitStoreContract, type RateLimitStoreSetup } from '../contracts/rate-limit-store.contract.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { type Admission, windowViolations } from '../support/history.ts';
import { startCluster, startSingleNodeCluster, startStandalone, type TestServers } from '../support/servers.ts';

type Kind = 'standalone' | 'cluster';

/** A deadline that a busy machine keeps. */
const PATIENT_MS = 5_000;

async function connect(servers: TestServers, kind: Kind, commandTimeoutMs = PATIENT_MS): Promise<RedisConnection> {
  const nodes = [{ host: HOST, port: servers.port }] as const;
  const connection = new RedisConnection({ ...REDIS_TIMEOUTS, commandTimeoutMs, target: { kind, nodes } });
  await connection.connect();
  await eventually(() => connection.isAvailable, { withinMs: 15_000 });
  return connection;
}

async function openMemory(): Promise<RateLimitStoreSetup> {
  let nowMs = Date.UTC(2030, 0, 1);
  return {
    store: new MemoryRateLimitStore({ now: () => nowMs }),
    pass: async (ms) => void (nowMs += ms),
    close: async () => undefined,
  };
}

const openServer = (start: () => Promise<TestServers>, kind: Kind) => async (): Promise<RateLimitStoreSetup> => {
  const servers = await start();
  const connection = await connect(servers, kind);
  return {
    store: new RedisRateLimitStore(connection),
    // A timer may be early by a millisecond.
    pass: (ms) => sleep(ms + 2),
    close: async () => {
      await connection.close();
      await servers.stop();
    },
  };
};

describeRateLimitStoreContract('memory', openMemory);
describeRateLimitStoreContract('server', openServer(startStandalone, 'standalone'));
describeRateLimitStoreContract('server that refuses several keys', openServer(startSingleNodeCluster, 'standalone'));
describeRateLimitStoreContract('cluster', openServer(startCluster, 'cluster'));

const keys = new KeySpace(KEY_DEFAULTS);
const otp = { name: 'otp', limit: 3, window: '1m' } as const;

describe('rate limits on a server', () => {
  let servers: TestServers;
  let connections: RedisConnection[];
  let here: RateLimitService;
  let there: RateLimitService;
  const serviceOn = (connection: RedisConnection) => new RateLimitService(new RedisRateLimitStore(connection), keys);

  beforeAll(async () => {
    servers = await startStandalone();
    connections = await Promise.all([connect(servers, 'standalone'), connect(servers, 'standalone')]);
    [here, there] = connections.map(serviceOn) as [RateLimitService, RateLimitService];
  });
  beforeEach(() => servers.ask('FLUSHALL'));
  afterAll(async () => {
    await Promise.all(connections.map((connection) => connection.close()));
    await servers.stop();
  });

  const client = () => connections[0]!.client;
  const ALICE = 'app:v1@limit:otp:60000:alice';

  it('admit exactly the limit of a burst from two processes', async () => {
    const policy = { name: 'api', limit: 100, window: '10s' } as const;
    const decisions = await Promise.all(
      Array.from({ length: 250 }, (_, i) => (i % 2 === 0 ? here : there).consume(policy, 'alice')),
    );
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(100);
    expect(await here.check(policy, 'alice')).toMatchObject({ allowed: false, remaining: 0 });
  });

  it('do not depend on the clocks of the processes', async () => {
    const policy = { name: 'api', limit: 30, window: '10s' } as const;
    const now = Date.now;
    const skewed = jest.spyOn(Date, 'now').mockImplementation(() => now() + (Math.random() < 0.5 ? 15_000 : -15_000));
    let admitted = 0;
    for (let i = 0; i < 60; i++) admitted += Number((await (i % 2 ? here : there).consume(policy, 'alice')).allowed);
    skewed.mockRestore();
    expect(admitted).toBe(30);
  });

  it('never admit more than the limit over any window, in bursts over several windows', async () => {
    const policy = { name: 'api', limit: 20, window: '360ms' } as const;
    const admissions: Admission[] = [];
    const call = async (limits: RateLimitService) => {
      const askedAt = performance.now();
      const { allowed } = await limits.consume(policy, 'alice');
      if (allowed) admissions.push({ askedAt, answeredAt: performance.now() });
    };
    for (let burst = 0; burst < 40; burst++) {
      await Promise.all(Array.from({ length: 14 }, (_, i) => call(i % 2 === 0 ? here : there)));
      await sleep(Math.random() * 80);
    }
    expect(windowViolations(admissions, policy.limit, 360)).toEqual([]);
    // The quota came back several times, so windows were crossed.
    expect(admissions.length).toBeGreaterThan(2 * policy.limit);
  });

  it('keep one key per policy and subject, outside the keys of the application, with a TTL', async () => {
    await here.consume(otp, 'alice');
    expect(await client().keys('*')).toEqual([ALICE]);
    expect(await client().pttl(ALICE)).toBeGreaterThan(50_000);
    expect(await client().pttl(ALICE)).toBeLessThanOrEqual(65_000);
  });

  it.each(['consume', 'check'] as const)('repair a TTL that was lost, at the next %s', async (act) => {
    for (let i = 0; i < 3; i++) await here.consume(otp, 'alice');
    await client().persist(ALICE);
    expect(await there[act](otp, 'alice')).toMatchObject({ allowed: false });
    expect(await client().pttl(ALICE)).toBeGreaterThan(0);
  });

  it.each(['5', '', 'garbage', 'sixteen letters!', '{"a":1}', '\uffff'.repeat(16)])(
    'start again when the key holds %j',
    async (text) => {
      await client().set(ALICE, text);
      expect(await here.consume(otp, 'alice')).toMatchObject({ allowed: true, remaining: 2 });
      expect(await client().pttl(ALICE)).toBeGreaterThan(0);
    },
  );

  it('block nobody for long when the clock of the server is set back', async () => {
    const policy = { name: 'otp', limit: 3, window: '600ms' } as const;
    const key = 'app:v1@limit:otp:600:alice';
    const inAnHour = (index: number) => Math.floor(((Date.now() + 3_600_000) * 1_000) / bucketWidthUs(600)) + index;
    const kept = new Float64Array([inAnHour(-1), 1, inAnHour(0), 2]);
    await client().set(key, Buffer.from(kept.buffer), 'PX', 3_600_000);
    const refused = await here.consume(policy, 'alice');
    expect(refused).toMatchObject({ allowed: false, remaining: 0 });
    expect(refused.retryAfterMs).toBeLessThanOrEqual(1_200);
    for (let i = 0; i < 3; i++) expect((await there.check(policy, 'alice')).allowed).toBe(false);
    await sleep(refused.retryAfterMs + 2);
    expect(await here.consume(policy, 'alice')).toMatchObject({ allowed: true });
  });

  it('survive a server that forgets its scripts', async () => {
    const policy = { name: 'api', limit: 15, window: '1m' } as const;
    let admitted = 0;
    for (let i = 0; i < 30; i++) {
      await servers.ask('SCRIPT', 'FLUSH');
      admitted += Number((await here.consume(policy, 'alice')).allowed);
    }
    expect(admitted).toBe(15);
  });

  it('give the same answers as in memory, at the same times', async () => {
    const timed = defineScript({
      name: 'test.slidingWindow',
      arity: 6,
      body: SLIDING_WINDOW.replace(`redis.call('TIME')`, '{ arg[5], arg[6] }'),
      reply: (raw) => raw as unknown as [number, number, number, number],
    });
    // Windows are long, because keys expire in the server's time and not in ours.
    const windowMs = 30_000;
    const someCalls = (longestStepMs: number) =>
      fc.array(
        fc.record({
          afterUs: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: longestStepMs * 1_000 })),
          cost: fc.integer({ min: 1, max: 10 }),
          spend: fc.boolean(),
        }),
        { maxLength: 20, size: 'max' },
      );
    const history = fc.record({
      limit: fc.integer({ min: 10, max: 20 }),
      // Short of a window: what was forgotten before a clock is set back may be remembered by one of the two.
      before: someCalls(windowMs / 20),
      setBackUs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * windowMs * 1_000 })),
      after: someCalls(windowMs),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(history, async ({ limit, before, setBackUs, after }) => {
        const setBack = { afterUs: -setBackUs, cost: 1, spend: true };
        const key = `history ${++run}`;
        const memory = new SlidingWindow(windowMs);
        let nowUs = Date.now() * 1_000;
        for (const { afterUs, cost, spend } of [...before, setBack, ...after]) {
          nowUs += afterUs;
          const time = [Math.floor(nowUs / 1_000_000), nowUs % 1_000_000];
          const args = [limit, spend ? cost : 1, bucketWidthUs(windowMs), spend ? 1 : 0, ...time];
          const [allowed, used, resetMs, retryAfterMs] = await connections[0]!.run(timed, key, ...args);
          const expected = spend ? memory.consume(nowUs, limit, cost) : memory.check(nowUs, limit);
          expect({ allowed: allowed === 1, remaining: limit - used, resetMs, retryAfterMs }).toEqual(expected);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('rate limits on a server that goes away', () => {
  let servers: TestServers;
  let connection: RedisConnection;
  let limits: RateLimitService;

  beforeEach(async () => {
    servers = await startStandalone();
    connection = await connect(servers, 'standalone', REDIS_TIMEOUTS.commandTimeoutMs);
    limits = new RateLimitService(new RedisRateLimitStore(connection), keys);
  });
  afterEach(async () => {
    servers.resume();
    await connection.close();
    await servers.stop();
  });

  it.each(['kill', 'pause'] as const)('decide as the policy says (%s)', async (fault) => {
    await servers[fault]();
    const countAdmitted = async (policy: Parameters<RateLimitService['consume']>[0]) => {
      let admitted = 0;
      for (let i = 0; i < 5; i++) {
        const { allowed, degraded } = await limits.consume(policy, 'alice');
        expect(degraded).toBe(true);
        admitted += Number(allowed);
      }
      return admitted;
    };
    expect(await countAdmitted(otp)).toBe(3);
    expect(await countAdmitted({ ...otp, onOutage: 'allow' })).toBe(5);
    await expect(limits.consume({ ...otp, onOutage: 'reject' }, 'alice')).rejects.toThrow(StoreUnavailableError);
  });
});
