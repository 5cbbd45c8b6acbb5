import type { QuotaState, RateLimitStore } from '../../src/rate-limit/rate-limit-store.interface.ts';

/** A store under test, and the means to let its time pass. */
export interface RateLimitStoreSetup {
  readonly store: RateLimitStore;
  readonly pass: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** A window so long that nothing comes back during a test, and one so short that a test can wait for its end. */
const LONG_MS = 3_600_000;
const SHORT_MS = 720;

export function describeRateLimitStoreContract(name: string, open: () => Promise<RateLimitStoreSetup>): void {
  describe(`${name}: sliding window`, () => {
    let setup: RateLimitStoreSetup;
    let store: RateLimitStore;
    let key: string;
    let subjects = 0;

    beforeAll(async () => {
      setup = await open();
      store = setup.store;
    });
    beforeEach(() => (key = `subject ${++subjects}`));
    afterAll(() => setup.close());

    const spend = async (limit: number, cost = 1, windowMs = LONG_MS) => store.consume(key, { limit, windowMs }, cost);
    async function spendMany(calls: number, limit: number, windowMs = LONG_MS): Promise<QuotaState[]> {
      const states: QuotaState[] = [];
      for (let i = 0; i < calls; i++) states.push(await spend(limit, 1, windowMs));
      return states;
    }

    it('admits as many as the limit says and counts down', async () => {
      const states = await spendMany(4, 3);
      expect(states.map(({ allowed }) => allowed)).toEqual([true, true, true, false]);
      expect(states.map(({ remaining }) => remaining)).toEqual([2, 1, 0, 0]);
    });

    it('admits exactly the limit of a burst', async () => {
      const states = await Promise.all(Array.from({ length: 250 }, () => spend(100)));
      expect(states.filter(({ allowed }) => allowed)).toHaveLength(100);
    });

    it('says when the whole quota is back: after the window and at most a twelfth more', async () => {
      const { resetMs, retryAfterMs } = await spend(2);
      expect(resetMs).toBeGreaterThanOrEqual(LONG_MS - 1_000);
      expect(resetMs).toBeLessThanOrEqual((LONG_MS * 13) / 12);
      expect(retryAfterMs).toBe(0);
    });

    it('spends the cost of a call, or nothing when it does not fit', async () => {
      expect(await spend(10, 7)).toMatchObject({ allowed: true, remaining: 3 });
      expect(await spend(10, 4)).toMatchObject({ allowed: false, remaining: 3 });
      expect(await spend(10, 3)).toMatchObject({ allowed: true, remaining: 0 });
    });

    it('charges nothing for a refused call', async () => {
      await spend(1, 1, SHORT_MS);
      for (let i = 0; i < 20; i++) await spend(1, 1, SHORT_MS);
      await setup.pass((SHORT_MS * 13) / 12 + 1);
      expect(await spend(1, 1, SHORT_MS)).toMatchObject({ allowed: true });
    });

    it('admits a retry after exactly the time it told', async () => {
      await spend(3, 2, SHORT_MS);
      await setup.pass(SHORT_MS / 3);
      await spend(3, 1, SHORT_MS);
      const refused = await spend(3, 2, SHORT_MS);
      expect(refused.allowed).toBe(false);
      expect(refused.retryAfterMs).toBeGreaterThan(0);
      expect(refused.retryAfterMs).toBeLessThan(refused.resetMs);
      await setup.pass(refused.retryAfterMs);
      expect(await spend(3, 2, SHORT_MS)).toMatchObject({ allowed: true, remaining: 0 });
    });

    it('has the whole quota again after the time it told', async () => {
      const [, , { resetMs } = { resetMs: NaN }] = await spendMany(3, 3, SHORT_MS);
      await setup.pass(resetMs);
      expect(await store.check(key, { limit: 3, windowMs: SHORT_MS })).toEqual({
        allowed: true,
        remaining: 3,
        resetMs: 0,
        retryAfterMs: 0,
      });
    });

    it('does not double the quota at the border of a window', async () => {
      // As many as fit just before what a fixed window would take for its end, and again just after it.
      await setup.pass(SHORT_MS - (Date.now() % SHORT_MS) - 20);
      const before = await spendMany(5, 5, SHORT_MS);
      await setup.pass(40);
      const after = await spendMany(5, 5, SHORT_MS);
      expect([...before, ...after].filter(({ allowed }) => allowed)).toHaveLength(5);
    });

    it('looks without spending', async () => {
      await spend(2);
      for (let i = 0; i < 5; i++) {
        expect(await store.check(key, { limit: 2, windowMs: LONG_MS })).toMatchObject({ allowed: true, remaining: 1 });
      }
      await spend(2);
      const state = await store.check(key, { limit: 2, windowMs: LONG_MS });
      expect(state).toMatchObject({ allowed: false, remaining: 0 });
      expect(state.retryAfterMs).toBeGreaterThan(0);
    });

    it('looks at a subject that never called', async () => {
      const state = await store.check(key, { limit: 2, windowMs: LONG_MS });
      expect(state).toEqual({ allowed: true, remaining: 2, resetMs: 0, retryAfterMs: 0 });
    });

    it('forgets a subject that is reset, and no other', async () => {
      const other = `${key}'`;
      await spend(1);
      await store.consume(other, { limit: 1, windowMs: LONG_MS }, 1);
      await store.reset(key);
      expect(await spend(1)).toMatchObject({ allowed: true });
      expect(await store.consume(other, { limit: 1, windowMs: LONG_MS }, 1)).toMatchObject({ allowed: false });
    });

    it('refuses at once under a limit that was lowered', async () => {
      await spend(10, 8);
      expect(await spend(5)).toMatchObject({ allowed: false, remaining: 0 });
      expect(await spend(9)).toMatchObject({ allowed: true, remaining: 0 });
    });

    it('counts up to the largest safe integer', async () => {
      const limit = Number.MAX_SAFE_INTEGER - 100;
      expect(await spend(limit, limit - 1)).toMatchObject({ allowed: true, remaining: 1 });
      expect(await spend(limit, 2)).toMatchObject({ allowed: false, remaining: 1 });
      expect(await spend(limit, 1)).toMatchObject({ allowed: true, remaining: 0 });
    });

    it('works with windows of a millisecond and of years', async () => {
      expect(await spend(1, 1, 1)).toMatchObject({ allowed: true });
      await setup.pass(3);
      expect(await spend(1, 1, 1)).toMatchObject({ allowed: true });
      key += ' for years';
      expect(await spend(1, 1, 24_855 * 86_400_000)).toMatchObject({ allowed: true });
      expect(await spend(1, 1, 24_855 * 86_400_000)).toMatchObject({ allowed: false });
    });
  });
}
