import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreUnavailableError } from '../../src/common/errors.ts';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';
import { MemoryRateLimitStore } from '../../src/rate-limit/memory-rate-limit.store.ts';
import { quotaOf } from '../../src/rate-limit/quota.ts';
import { RATE_LIMIT } from '../../src/rate-limit/rate-limit.lua.ts';
import { ScriptCall } from '../../src/rate-limit/rate-limit.script-call.ts';
import { lookCharge, refundCharge, spendCharge } from '../../src/rate-limit/rate-limit.script-charge.ts';
import { RateLimitService } from '../../src/rate-limit/rate-limit.service.ts';
import { RedisRateLimitStore } from '../../src/rate-limit/redis-rate-limit.store.ts';
import { SharedLimits } from '../../src/rate-limit/shared-limits.ts';
import { bucketWidthUs } from '../../src/rate-limit/sliding-window.ts';
import type { RedisConnection } from '../../src/redis/redis.connection.ts';
import { evaluate, scriptOf } from '../../src/redis/redis.script.ts';
import { Connections } from '../support/connections.ts';
import { type Admission, windowViolations } from '../support/history.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

/** A deadline that a busy machine keeps. */
const PATIENT = { commandTimeoutMs: 5_000 };
const keys = new KeySpace(KEY_DEFAULTS);
const otp = { name: 'otp', limit: 3, window: '1m' } as const;

const limitsOn = (connection: RedisConnection): SharedLimits =>
  new SharedLimits(new RedisRateLimitStore(keys, connection, connection.duringRecovery), 1);

describe('rate limits on a server', () => {
  const connections = new Connections();
  let servers: TestServers;
  let connection: RedisConnection;
  let here: RateLimitService;
  let there: RateLimitService;

  beforeAll(async () => {
    servers = await startStandalone();
    connection = await connections.open(servers.port, PATIENT);
    here = new RateLimitService(limitsOn(connection));
    there = new RateLimitService(limitsOn(await connections.open(servers.port, PATIENT)));
  });
  beforeEach(() => servers.ask('FLUSHALL'));
  afterAll(async () => {
    await connections.close();
    await servers.stop();
  });

  const client = () => connection.client;
  const ALICE = 'app:v1@ratelimit:{alice}:otp:60000';
  let subjects = 0;
  /** What is known of one subject in this process would keep a second test from the server. */
  const someone = () => `subject ${++subjects}`;
  const keyOf = (subject: string, id = 'otp:60000') => `app:v1@ratelimit:{${subject}}:${id}`;

  it('admit exactly the limit of a burst from two processes', async () => {
    const policy = { name: 'api', limit: 100, window: '10s' } as const;
    const decisions = await Promise.all(
      Array.from({ length: 250 }, (_, i) => (i % 2 === 0 ? here : there).consume(policy, 'alice')),
    );
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(100);
    expect(await here.check(policy, 'alice')).toMatchObject({ allowed: false, remaining: 0 });
  });

  it('do not depend on the clocks of the processes', async () => {
    const [policy, subject] = [{ name: 'api', limit: 30, window: '10s' } as const, someone()];
    const now = Date.now;
    const skewed = jest.spyOn(Date, 'now').mockImplementation(() => now() + (Math.random() < 0.5 ? 15_000 : -15_000));
    let admitted = 0;
    for (let i = 0; i < 60; i++) admitted += Number((await (i % 2 ? here : there).consume(policy, subject)).allowed);
    skewed.mockRestore();
    expect(admitted).toBe(30);
  });

  it('never admit more than the limit over any window, in bursts over several windows', async () => {
    const [policy, subject] = [{ name: 'api', limit: 20, window: '360ms' } as const, someone()];
    const admissions: Admission[] = [];
    const call = async (limits: RateLimitService) => {
      const askedAt = performance.now();
      const { allowed } = await limits.consume(policy, subject);
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

  it.each(['consume', 'check'] as const)('repair a TTL that was lost, at the next %s (F51)', async (act) => {
    const subject = someone();
    for (let i = 0; i < 3; i++) await here.consume(otp, subject);
    await client().persist(keyOf(subject));
    expect(await there[act](otp, subject)).toMatchObject({ allowed: false });
    expect(await client().pttl(keyOf(subject))).toBeGreaterThan(0);
  });

  it.each(['5', '', 'garbage', 'sixteen letters!', '{"a":1}', '\uffff'.repeat(16)])(
    'start again when the key holds %j',
    async (text) => {
      const subject = someone();
      await client().set(keyOf(subject), text);
      expect(await here.consume(otp, subject)).toMatchObject({ allowed: true, remaining: 2 });
      expect(await client().pttl(keyOf(subject))).toBeGreaterThan(0);
    },
  );

  it('start again when the key holds another type, or a counter that somebody left without a TTL', async () => {
    const [one, other] = [someone(), someone()];
    await client().lpush(keyOf(one), 'x');
    await client().set(keyOf(other), '5');
    for (const subject of [one, other]) {
      expect(await here.consume(otp, subject)).toMatchObject({ allowed: true, remaining: 2 });
      expect(await client().pttl(keyOf(subject))).toBeGreaterThan(0);
    }
  });

  it.each<[string, (index: number) => Record<string, string | Buffer>]>([
    ['other fields', () => ({ name: 'ann', age: '42' })],
    ['no number', (index) => ({ [index]: 'three' })],
    ['fewer units than its buckets', (index) => ({ [index - 1]: '2', o: Buffer.alloc(48, 1) })],
    ['fewer than none', (index) => ({ [index]: '-5' })],
  ])('start again when the key holds a hash with %s', async (_, fieldsAt) => {
    const subject = someone();
    await client().hset(keyOf(subject), fieldsAt(Math.floor((Date.now() * 1_000) / bucketWidthUs(60_000))));
    expect(await here.consume(otp, subject)).toMatchObject({ allowed: true, remaining: 2 });
    expect(await client().pttl(keyOf(subject))).toBeGreaterThan(0);
  });

  it('take one trip for all calls of a turn, and for all policies of a call', async () => {
    const [policies, subject] = [[otp, { name: 'daily', limit: 10, window: '1d' }] as const, someone()];
    const trips = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client().info('commandstats'))?.[1] ?? 0);
    await here.consume(policies, subject);
    const before = await trips();
    await Promise.all(Array.from({ length: 50 }, (_, i) => here.consume(policies, `${subject} ${i}`)));
    expect((await trips()) - before).toBe(1);
  });

  it('ask no second time for a subject that is known to be refused', async () => {
    const subject = someone();
    for (let i = 0; i < 4; i++) await here.consume(otp, subject);
    const { retryAfterMs } = await here.consume(otp, subject);
    const trips = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client().info('commandstats'))?.[1] ?? 0);
    const before = await trips();
    for (let i = 0; i < 100; i++) {
      const refused = await here.consume(otp, subject);
      expect(refused).toMatchObject({ allowed: false, remaining: 0, violated: ['otp'], degraded: false });
      expect(refused.retryAfterMs).toBeLessThanOrEqual(retryAfterMs);
    }
    expect(await trips()).toBe(before);
    await here.reset(otp, subject);
    expect(await here.consume(otp, subject)).toMatchObject({ allowed: true });
  });

  it('admit again what was refused from memory, when its time has come', async () => {
    const [policy, subject] = [{ name: 'short', limit: 1, window: '240ms' } as const, someone()];
    await here.consume(policy, subject);
    await here.consume(policy, subject);
    const { retryAfterMs } = await here.consume(policy, subject);
    await sleep(retryAfterMs + 2);
    expect(await here.consume(policy, subject)).toMatchObject({ allowed: true });
  });

  it('block nobody for long when the clock of the server is set back', async () => {
    const policy = { name: 'otp', limit: 3, window: '600ms' } as const;
    const subject = someone();
    const inAnHour = (index: number) => Math.floor(((Date.now() + 3_600_000) * 1_000) / bucketWidthUs(600)) + index;
    const before = new Uint32Array([1, ...new Array<number>(11).fill(0)]);
    await client().hset(keyOf(subject, 'otp:600'), { [inAnHour(0)]: 3, o: Buffer.from(before.buffer) });
    await client().pexpire(keyOf(subject, 'otp:600'), 3_600_000);
    const refused = await here.consume(policy, subject);
    expect(refused).toMatchObject({ allowed: false, remaining: 0 });
    expect(refused.retryAfterMs).toBeLessThanOrEqual(1_200);
    for (let i = 0; i < 3; i++) expect((await there.check(policy, subject)).allowed).toBe(false);
    await sleep(refused.retryAfterMs + 2);
    expect(await here.consume(policy, subject)).toMatchObject({ allowed: true });
  });

  it.each(['sliding', 'fixed', 'gcra'] as const)(
    'are told once what several processes knew, and all that each of them admitted alone (%s)',
    async (algorithm) => {
      const store = new RedisRateLimitStore(keys, connection, connection.duringRecovery);
      const [quota, subject] = [quotaOf({ name: 'otp', algorithm, limit: 20, windowMs: 3_600_000 }), someone()];
      const usedAfter = async (known: number, added: number): Promise<number> => {
        await store.restore([{ quota, subject, known, knownAgoMs: 0, added }]);
        const charge = { quotas: [quota], costs: [1], consumesOnReject: false };
        return (await store.look(charge, [subject]))[0]!.used;
      };
      expect(await usedAfter(4, 0)).toBe(4);
      expect(await usedAfter(4, 0)).toBe(4);
      expect(await usedAfter(6, 0)).toBe(6);
      expect(await usedAfter(2, 3)).toBe(9);
      expect(await usedAfter(0, 2)).toBe(11);
    },
  );

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
    const timed = scriptOf(RATE_LIMIT.replace(`redis.call('TIME')`, '{ table.remove(ARGV), table.remove(ARGV) }'));
    // Windows are long, because keys expire in the server's time and not in ours.
    const windowMs = 30_000;
    const act = fc.constantFrom('spend', 'spend', 'spend', 'look', 'refund');
    const someCalls = (longestStepMs: number) =>
      fc.array(
        fc.record({
          afterUs: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: longestStepMs * 1_000 })),
          cost: fc.integer({ min: 1, max: 10 }),
          act,
        }),
        { maxLength: 20, size: 'max' },
      );
    const history = fc.record({
      algorithm: fc.constantFrom('sliding', 'fixed', 'gcra'),
      limit: fc.integer({ min: 10, max: 20 }),
      isStrict: fc.boolean(),
      // Short of a window: what was forgotten before a clock is set back may be remembered by one of the two.
      before: someCalls(windowMs / 20),
      // The others may give something back meanwhile, even then.
      setBackUs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 * windowMs * 1_000 })),
      after: someCalls(windowMs),
    } as const);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(history, async ({ algorithm, limit, isStrict, before, setBackUs, after }) => {
        const escalation = { after: 2, withinMs: windowMs, blockMs: windowMs / 6, maxMs: windowMs / 2 };
        const quota = quotaOf({
          name: 'api',
          algorithm,
          limit,
          windowMs,
          escalation: isStrict ? escalation : undefined,
        });
        const key = `history ${++run}`;
        let nowUs = Date.now() * 1_000;
        const memory = new MemoryRateLimitStore({ now: () => nowUs / 1_000 });
        const setBack = { afterUs: algorithm === 'sliding' ? -setBackUs : 0, cost: 1, act: 'spend' } as const;
        for (const { afterUs, cost, act } of [...before, setBack, ...after]) {
          nowUs += afterUs;
          const charge = { quotas: [quota], costs: [cost], consumesOnReject: false };
          const args = { spend: spendCharge(charge), look: lookCharge(charge), refund: refundCharge([quota], cost) }[
            act
          ];
          const time = [nowUs % 1_000_000, Math.floor(nowUs / 1_000_000)];
          await evaluate(client(), timed, [key], [1, ...args, ...time]);
          if (act === 'refund') memory.refund(quota, key, cost);
          else memory[act](charge, [key]);
          const call = new ScriptCall([{ charge: lookCharge(charge), keys: [key] }]);
          const looked = await evaluate(client(), timed, call.keys, [...call.args, ...time]);
          call.deal(looked as number[], (_, states) => expect(states).toEqual(memory.look(charge, [key])));
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('rate limits on a server that goes away', () => {
  const connections = new Connections();
  let servers: TestServers;
  let limits: RateLimitService;

  beforeEach(async () => {
    servers = await startStandalone();
    limits = new RateLimitService(limitsOn(await connections.open(servers.port)));
  });
  afterEach(async () => {
    servers.resume();
    await connections.close();
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
