import { quotaOf, type QuotaOptions } from '../../src/rate-limit/quota.ts';
import type {
  Algorithm,
  Charge,
  Quota,
  QuotaState,
  RateLimitStore,
} from '../../src/rate-limit/rate-limit-store.interface.ts';

/** A store under test, and the means to let its time pass. */
export interface RateLimitStoreSetup {
  readonly store: RateLimitStore;
  /** By the store's clock. */
  readonly now: () => number;
  readonly pass: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** A window so long that nothing comes back during a test, and one so short that a test can wait for its end. */
const LONG_MS = 3_600_000;
const SHORT_MS = 432;
const ALGORITHMS = ['sliding', 'fixed', 'gcra'] as const;
const NOTHING = { used: 0, resetMs: 0, retryAfterMs: 0, block: 'none' };

export const quota = (options: Partial<QuotaOptions> = {}): Quota =>
  quotaOf({ name: 'api', algorithm: 'sliding', limit: 10, windowMs: LONG_MS, ...options });
export const charge = (quotas: readonly Quota[], cost = 1, consumesOnReject = false): Charge => ({
  quotas,
  costs: quotas.map(() => cost),
  consumesOnReject,
});
export const isAllowed = ({ retryAfterMs }: QuotaState): boolean => retryAfterMs === 0;

/**
 * @param waits whether to run what takes its time, too: once per implementation is enough
 */
export function describeRateLimitStoreContract(
  name: string,
  open: () => Promise<RateLimitStoreSetup>,
  { waits = true } = {},
): void {
  const overTime: (title: string, test: () => Promise<void>) => void = waits ? it : () => undefined;

  describe(`${name}: rate limits`, () => {
    let setup: RateLimitStoreSetup;
    let store: RateLimitStore;
    let subject: string;
    let subjects = 0;

    beforeAll(async () => {
      setup = await open();
      store = setup.store;
    });
    beforeEach(() => (subject = `subject ${++subjects}`));
    afterAll(() => setup.close());

    const spend = async (by: Quota, cost = 1, of = subject): Promise<QuotaState> =>
      (await store.spend(charge([by], cost), [of]))[0]!;
    const look = async (by: Quota, cost = 1): Promise<QuotaState> =>
      (await store.look(charge([by], cost), [subject]))[0]!;
    async function spendMany(calls: number, by: Quota): Promise<QuotaState[]> {
      const states: QuotaState[] = [];
      for (let i = 0; i < calls; i++) states.push(await spend(by));
      return states;
    }
    /** Begins right after a window did, so that a test ends in the same one. */
    const untilNextWindow = (windowMs: number) => setup.pass(windowMs - (setup.now() % windowMs));

    describe.each(ALGORITHMS)('%s', (algorithm) => {
      const long = (limit: number) => quota({ algorithm, limit });
      const short = (limit: number) => quota({ algorithm, limit, windowMs: SHORT_MS });

      it('admits as many as the limit says and counts', async () => {
        const states = await spendMany(4, long(3));
        expect(states.map(isAllowed)).toEqual([true, true, true, false]);
        expect(states.map(({ used }) => used)).toEqual([1, 2, 3, 3]);
      });

      it('admits exactly the limit of a burst', async () => {
        const states = await Promise.all(Array.from({ length: 250 }, () => spend(long(100))));
        expect(states.filter(isAllowed)).toHaveLength(100);
      });

      it('spends the cost of a call, or nothing when it does not fit', async () => {
        expect(await spend(long(10), 7)).toMatchObject({ retryAfterMs: 0, used: 7 });
        const refused = await spend(long(10), 4);
        expect(refused.used).toBe(7);
        expect(refused.retryAfterMs).toBeGreaterThan(0);
        expect(await spend(long(10), 3)).toMatchObject({ retryAfterMs: 0, used: 10 });
      });

      overTime('charges nothing for a refused call', async () => {
        await spend(short(1));
        for (let i = 0; i < 20; i++) await spend(short(1));
        await setup.pass((SHORT_MS * 13) / 12 + 1);
        expect(isAllowed(await spend(short(1)))).toBe(true);
      });

      overTime('admits a retry after exactly the time it told', async () => {
        await untilNextWindow(SHORT_MS);
        await spend(short(3), 2);
        await setup.pass(SHORT_MS / 4);
        await spend(short(3), 1);
        const refused = await spend(short(3), 2);
        expect(refused.retryAfterMs).toBeGreaterThan(0);
        expect(refused.retryAfterMs).toBeLessThanOrEqual(refused.resetMs);
        await setup.pass(refused.retryAfterMs);
        expect(isAllowed(await look(short(3), 2))).toBe(true);
      });

      overTime('has the whole quota again after the time it told', async () => {
        const [, , { resetMs } = { resetMs: NaN }] = await spendMany(3, short(3));
        await setup.pass(resetMs);
        expect(await look(short(3))).toEqual(NOTHING);
      });

      it('looks without spending', async () => {
        await spend(long(2));
        for (let i = 0; i < 5; i++) expect(await look(long(2))).toMatchObject({ retryAfterMs: 0, used: 1 });
        await spend(long(2));
        expect(isAllowed(await look(long(2)))).toBe(false);
        expect(isAllowed(await spend(long(2)))).toBe(false);
      });

      it('looks at a subject that never called', async () => {
        expect(await look(long(2))).toEqual(NOTHING);
      });

      it('forgets a subject that is reset, and no other', async () => {
        const other = `${subject}'`;
        await spend(long(1));
        await spend(long(1), 1, other);
        await store.reset(long(1), subject);
        expect(isAllowed(await spend(long(1)))).toBe(true);
        expect(isAllowed(await spend(long(1), 1, other))).toBe(false);
      });

      it('gives back what is refunded, and never more than was spent', async () => {
        await spend(long(10), 8);
        await store.refund(long(10), subject, 3);
        expect((await look(long(10))).used).toBe(5);
        await store.refund(long(10), subject, 100);
        expect(await look(long(10))).toEqual(NOTHING);
        await store.refund(long(10), `${subject}'`, 1);
        expect(await spend(long(10), 10)).toMatchObject({ used: 10, retryAfterMs: 0 });
      });

      it('refuses at once under a limit that was lowered', async () => {
        if (algorithm === 'gcra') return; // Its units have another size then.
        await spend(long(10), 8);
        expect(isAllowed(await spend(long(5)))).toBe(false);
        expect(await spend(long(9))).toMatchObject({ retryAfterMs: 0, used: 9 });
      });

      it('counts subjects apart, whatever they are made of', async () => {
        const others = [':', '{', '}', '{}', '}:api', '#', '\0', '\ud800', '\ud801', ' ', 'x'.repeat(10_000), 'é'];
        for (const end of others) expect(isAllowed(await spend(long(1), 1, subject + end))).toBe(true);
        for (const end of others) expect(isAllowed(await spend(long(1), 1, subject + end))).toBe(false);
      });
    });

    describe('sliding', () => {
      it('says when the whole quota is back: after the window and at most a twelfth more', async () => {
        const { resetMs } = await spend(quota());
        expect(resetMs).toBeGreaterThanOrEqual(LONG_MS - 1_000);
        expect(resetMs).toBeLessThanOrEqual((LONG_MS * 13) / 12);
      });

      overTime('does not double the quota at the border of a window', async () => {
        const five = quota({ limit: 5, windowMs: SHORT_MS });
        // As many as fit just before what a fixed window would take for its end, and again just after it.
        await setup.pass(SHORT_MS - (setup.now() % SHORT_MS) - 20);
        const before = await spendMany(5, five);
        await setup.pass(40);
        const after = await spendMany(5, five);
        expect([...before, ...after].filter(isAllowed)).toHaveLength(5);
      });

      overTime('gives back bucket by bucket, over several windows', async () => {
        const some = quota({ limit: 6, windowMs: SHORT_MS });
        const admitted: number[] = [];
        for (let round = 0; round < 8; round++) {
          admitted.push((await spendMany(2, some)).filter(isAllowed).length);
          await setup.pass(SHORT_MS / 4);
        }
        expect(admitted.slice(0, 4)).toEqual([2, 2, 2, 0]);
        expect(admitted.slice(4).reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(4);
      });

      overTime('refunds the latest units first', async () => {
        const some = quota({ limit: 6, windowMs: SHORT_MS });
        await spend(some, 2);
        await setup.pass(SHORT_MS / 2);
        await spend(some, 3);
        await store.refund(some, subject, 4);
        const { used, resetMs } = await look(some);
        expect(used).toBe(1);
        expect(resetMs).toBeLessThan((SHORT_MS * 8) / 12);
      });

      it('counts up to the largest safe integer', async () => {
        const most = quota({ limit: Number.MAX_SAFE_INTEGER - 100 });
        expect(await spend(most, most.capacity - 1)).toMatchObject({ retryAfterMs: 0, used: most.capacity - 1 });
        expect(isAllowed(await spend(most, 2))).toBe(false);
        expect(await spend(most, 1)).toMatchObject({ retryAfterMs: 0, used: most.capacity });
      });

      it('works with windows of a millisecond and of years', async () => {
        const moment = quota({ limit: 1, windowMs: 1 });
        expect(isAllowed(await spend(moment))).toBe(true);
        await setup.pass(3);
        expect(isAllowed(await spend(moment))).toBe(true);
        const age = quota({ limit: 1, windowMs: 24_855 * 86_400_000 });
        expect(isAllowed(await spend(age))).toBe(true);
        expect(isAllowed(await spend(age))).toBe(false);
      });
    });

    overTime('gives a fixed window back at once, at its end', async () => {
      const five = quota({ algorithm: 'fixed', limit: 5, windowMs: SHORT_MS });
      await untilNextWindow(SHORT_MS);
      const states = await spendMany(6, five);
      expect(states.filter(isAllowed)).toHaveLength(5);
      const { resetMs, retryAfterMs } = states.at(-1)!;
      expect(retryAfterMs).toBe(resetMs);
      expect(resetMs).toBeLessThanOrEqual(SHORT_MS);
      await setup.pass(resetMs);
      expect(await spend(five, 5)).toMatchObject({ retryAfterMs: 0, used: 5 });
    });

    overTime('gives the units of gcra back one by one, and no more at once than the burst', async () => {
      const bucket = quota({ algorithm: 'gcra', limit: 6, windowMs: SHORT_MS, burst: 2 });
      const states = await spendMany(3, bucket);
      expect(states.map(isAllowed)).toEqual([true, true, false]);
      expect(states[2]!.retryAfterMs).toBeLessThanOrEqual(SHORT_MS / 6);
      await setup.pass(states[2]!.retryAfterMs);
      expect(isAllowed(await spend(bucket))).toBe(true);
      await setup.pass(SHORT_MS * 2);
      expect((await spendMany(2, bucket)).map(isAllowed)).toEqual([true, true]);
      expect(isAllowed(await look(bucket, 2))).toBe(false);
    });

    describe('several quotas', () => {
      const burst = quota({ name: 'burst', limit: 2 });
      const long = quota({ name: 'long', limit: 3 });

      it('admit a request all together, or charge nothing', async () => {
        const both = charge([burst, long]);
        const pair = [subject, subject];
        for (let i = 0; i < 2; i++) expect((await store.spend(both, pair)).map(isAllowed)).toEqual([true, true]);
        const refused = await store.spend(both, pair);
        expect(refused.map(isAllowed)).toEqual([false, true]);
        expect(refused.map(({ used }) => used)).toEqual([2, 2]);
        expect((await look(long)).used).toBe(2);
      });

      it('also of different subjects', async () => {
        const pair = [subject, `${subject}'`];
        await store.spend(charge([long, burst]), pair);
        await store.spend(charge([long, burst]), pair);
        const refused = await store.spend(charge([long, burst]), pair);
        expect(refused.map(isAllowed)).toEqual([true, false]);
        expect(refused[0]!.used).toBe(2);
        expect((await look(long)).used).toBe(2);
        expect((await store.look(charge([long, burst]), pair)).map(({ used }) => used)).toEqual([2, 2]);
      });

      it('charge those with room for a refused request, if they are told to', async () => {
        const both = charge([burst, long], 1, true);
        for (let i = 0; i < 4; i++) await store.spend(both, [subject, subject]);
        expect([(await look(burst)).used, (await look(long)).used]).toEqual([2, 3]);
      });

      it('may each have a cost of their own', async () => {
        const states = await store.spend({ ...charge([burst, long]), costs: [1, 3] }, [subject, subject]);
        expect(states.map(({ used }) => used)).toEqual([1, 3]);
      });

      it('are not held up by one in shadow, which is still counted and tells when it would have refused', async () => {
        const shadow = quota({ name: 'new', limit: 1, isShadow: true });
        const states = [];
        for (let i = 0; i < 3; i++) states.push(await store.spend(charge([shadow, long]), [subject, subject]));
        expect(states.map(([first]) => isAllowed(first!))).toEqual([true, false, false]);
        expect(states.map(([, second]) => second!.used)).toEqual([1, 2, 3]);
        expect((await look(shadow)).used).toBe(1);
      });
    });

    describe('a block', () => {
      overTime('refuses whatever was spent, until its time', async () => {
        await store.block(quota(), subject, SHORT_MS);
        const refused = await spend(quota());
        expect(refused).toMatchObject({ block: 'blocked', used: 0 });
        expect(refused.retryAfterMs).toBeGreaterThan(SHORT_MS / 4);
        expect(refused.retryAfterMs).toBeLessThanOrEqual(SHORT_MS);
        expect(refused.resetMs).toBe(refused.retryAfterMs);
        await setup.pass(refused.retryAfterMs);
        expect(await spend(quota())).toMatchObject({ block: 'none', used: 1 });
      });

      it('ends with a reset', async () => {
        await store.block(quota(), subject, LONG_MS);
        await store.reset(quota(), subject);
        expect(isAllowed(await spend(quota()))).toBe(true);
      });

      overTime('outlives what was spent, and leaves it alone', async () => {
        const short = quota({ windowMs: SHORT_MS });
        await spend(short, 4);
        await store.block(short, subject, LONG_MS);
        expect((await look(short)).used).toBe(4);
        await setup.pass((SHORT_MS * 13) / 12 + 1);
        expect(await look(short)).toMatchObject({ used: 0, block: 'blocked' });
      });

      overTime('is not made longer by those who keep asking', async () => {
        await store.block(quota(), subject, SHORT_MS);
        for (let i = 0; i < 5; i++) await spend(quota());
        await setup.pass(SHORT_MS + 1);
        expect(isAllowed(await spend(quota()))).toBe(true);
      });
    });

    describe('escalation', () => {
      const escalation = { after: 3, withinMs: LONG_MS, blockMs: SHORT_MS, maxMs: SHORT_MS * 3 };
      const one = (algorithm: Algorithm = 'sliding') => quota({ algorithm, limit: 1, escalation });

      it.each(ALGORITHMS)('blocks after as many violations as it says (%s)', async (algorithm) => {
        const states = await spendMany(5, one(algorithm));
        expect(states.map(({ block }) => block)).toEqual(['none', 'none', 'none', 'imposed', 'blocked']);
        expect(states.map(({ used }) => used)).toEqual([1, 1, 1, 1, 1]);
      });

      it('does not count a look', async () => {
        await spend(one());
        for (let i = 0; i < 5; i++) expect((await look(one())).block).toBe('none');
      });

      overTime('doubles from block to block, up to a maximum', async () => {
        const strict = quota({ limit: 1, escalation: { ...escalation, after: 1 } });
        await spend(strict);
        for (let round = 0; round < 3; round++) {
          const { block, resetMs } = await spend(strict);
          expect(block).toBe('imposed');
          expect(resetMs).toBeGreaterThan(LONG_MS / 2);
          const ms = SHORT_MS * Math.min(3, 2 ** round);
          await setup.pass(ms * 0.6);
          expect((await look(strict)).block).toBe('blocked');
          await setup.pass(ms * 0.4 + 1);
          expect((await look(strict)).block).toBe('none');
        }
      });

      overTime('forgets violations that are long ago', async () => {
        const short = quota({
          limit: 1,
          escalation: { after: 2, withinMs: SHORT_MS, blockMs: LONG_MS, maxMs: LONG_MS },
        });
        await spendMany(2, short);
        await setup.pass(SHORT_MS + 5);
        expect((await spend(short)).block).toBe('none');
        expect((await spend(short)).block).toBe('imposed');
      });

      overTime('starts with the shortest block again after a quiet time', async () => {
        const short = quota({
          limit: 1,
          escalation: { after: 1, withinMs: SHORT_MS / 2, blockMs: 100, maxMs: LONG_MS },
        });
        await spend(short);
        expect((await spend(short)).block).toBe('imposed');
        await setup.pass(100 + SHORT_MS / 2 + 10);
        expect(await look(short)).toMatchObject({ block: 'none' });
        await spend(short);
        const { resetMs, retryAfterMs, block } = (await store.look(charge([short]), [subject]))[0]!;
        expect(block).toBe('blocked');
        expect(retryAfterMs).toBeLessThanOrEqual(resetMs);
        await setup.pass(105);
        expect((await look(short)).block).toBe('none');
      });
    });
  });
}
