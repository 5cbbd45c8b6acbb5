import { StoreUnavailableError } from '../common/errors.ts';
import { MemoryRateLimitStore } from './memory-rate-limit.store.ts';
import { quotaOf, type QuotaOptions } from './quota.ts';
import type { Charge, Quota, Restoration, SharedRateLimitStore } from './rate-limit-store.interface.ts';
import { SharedLimits } from './shared-limits.ts';

/** A server that can be away, and counts how often it is asked. */
class Server implements SharedRateLimitStore {
  isAway = false;
  asked = 0;
  restored: Restoration[] = [];
  store = new MemoryRateLimitStore();

  isAvailable = () => !this.isAway;
  spend = async (charge: Charge, subjects: readonly string[]) => this.ask(() => this.store.spend(charge, subjects));
  look = async (charge: Charge, subjects: readonly string[]) => this.ask(() => this.store.look(charge, subjects));
  refund = async (quota: Quota, subject: string, units: number) =>
    this.ask(() => this.store.refund(quota, subject, units));
  block = async (quota: Quota, subject: string, ms: number) => this.ask(() => this.store.block(quota, subject, ms));
  reset = async (quota: Quota, subject: string) => this.ask(() => this.store.reset(quota, subject));
  restore = async (restorations: readonly Restoration[]) => this.ask(() => void this.restored.push(...restorations));

  private ask<T>(act: () => T): T {
    if (this.isAway) throw new StoreUnavailableError('x', 'away');
    this.asked += 1;
    return act();
  }
}

const quota = (options: Partial<QuotaOptions> = {}): Quota =>
  quotaOf({ name: 'api', algorithm: 'sliding', limit: 10, windowMs: 3_600_000, ...options });

describe('SharedLimits', () => {
  let server: Server;
  let limits: SharedLimits;
  beforeEach(() => {
    server = new Server();
    limits = new SharedLimits(server, 2);
  });

  const spend = async (by: Quota, cost = 1, of: SharedLimits = limits) =>
    (await of.spend({ quotas: [by], costs: [cost], consumesOnReject: false }, ['ann'])).states[0]!;
  async function admitted(calls: number, by: Quota): Promise<number> {
    let count = 0;
    for (let i = 0; i < calls; i++) count += Number((await spend(by)).retryAfterMs === 0);
    return count;
  }

  describe('who is known to be refused', () => {
    it('is refused without a question, but not for less, or under a higher limit', async () => {
      await spend(quota(), 8);
      await spend(quota(), 5);
      const { asked } = server;
      expect(await spend(quota(), 5)).toMatchObject({ used: 8, block: 'none' });
      expect(await spend(quota(), 6)).toMatchObject({ used: 8, block: 'none' });
      expect(server.asked).toBe(asked);
      expect(await spend(quota(), 2)).toMatchObject({ used: 10, retryAfterMs: 0 });
      await spend(quota());
      expect(await spend(quota({ limit: 20 }))).toMatchObject({ used: 11, retryAfterMs: 0 });
    });

    it('is asked about where each violation counts, until it is blocked', async () => {
      const escalation = { after: 3, withinMs: 60_000, blockMs: 60_000, maxMs: 60_000 };
      const strict = quota({ limit: 1, escalation });
      const blocks: string[] = [];
      for (let i = 0; i < 6; i++) blocks.push((await spend(strict)).block);
      expect(blocks).toEqual(['none', 'none', 'none', 'imposed', 'blocked', 'blocked']);
      expect(server.asked).toBe(4);
    });

    it('is asked about in shadow, and where others are charged nevertheless', async () => {
      const pair = { quotas: [quota({ limit: 1 }), quota({ name: 'long' })], costs: [1, 1], consumesOnReject: true };
      for (let i = 0; i < 3; i++) await limits.spend(pair, ['ann', 'ann']);
      expect(server.asked).toBe(3);
      const shadow = quota({ name: 'shadow', limit: 1, isShadow: true });
      for (let i = 0; i < 3; i++) await spend(shadow);
      expect(server.asked).toBe(6);
    });

    it('is refused without a question where one of several policies is known to refuse', async () => {
      const pair = { quotas: [quota({ limit: 1 }), quota({ name: 'long' })], costs: [1, 1], consumesOnReject: false };
      for (let i = 0; i < 4; i++) await limits.spend(pair, ['ann', 'ann']);
      expect(server.asked).toBe(2);
      expect((await limits.look(pair, ['ann', 'ann'])).states[1]).toMatchObject({ used: 1 });
    });

    it.each([
      ['local', { by: 'memory', isRefused: true }],
      ['allow', { by: 'outage', isRefused: false }],
      ['reject', 'StoreUnavailableError'],
    ] as const)('is treated as an outage says once the server is away: %s', async (onOutage, expected) => {
      const one = quota({ limit: 1, onOutage });
      await admitted(2, one);
      server.isAway = true;
      const charge = { quotas: [one], costs: [1], consumesOnReject: false };
      const outcome = await Promise.resolve(limits.spend(charge, ['ann'])).then(
        ({ by, states }) => ({ by, isRefused: states[0]!.retryAfterMs > 0 }),
        (error: unknown) => (error as Error).name,
      );
      expect(outcome).toEqual(expected);
    });

    it('is nobody any more after a reset or a refund', async () => {
      const one = quota({ limit: 1 });
      await admitted(2, one);
      await limits.refund(one, 'ann', 1);
      expect(await admitted(2, one)).toBe(1);
      await limits.reset(one, 'ann');
      expect(await admitted(2, one)).toBe(1);
    });
  });

  describe('while the server is away', () => {
    it('admits its share of what was left', async () => {
      await spend(quota(), 4);
      server.isAway = true;
      expect(await admitted(10, quota())).toBe(3);
    });

    it('admits its share of the whole where it has seen nobody, rounded up', async () => {
      server.isAway = true;
      expect(await admitted(10, quota({ limit: 5 }))).toBe(3);
      expect(await admitted(10, quota({ name: 'other', limit: 1 }))).toBe(1);
    });

    it('admits nobody for more than its share', async () => {
      server.isAway = true;
      expect((await spend(quota(), 6)).retryAfterMs).toBeGreaterThan(0);
      expect((await spend(quota(), 5)).retryAfterMs).toBe(0);
    });

    it('fills its share of a bucket up as slowly as it is small', async () => {
      server.isAway = true;
      const bucket = quota({ algorithm: 'gcra' });
      expect(await admitted(10, bucket)).toBe(5);
      // One of ten an hour comes back after six minutes, one of this half of them after twelve.
      expect((await spend(bucket)).retryAfterMs).toBeGreaterThan(700_000);
    });

    it('admits nobody who had nothing left, for as long as that counts', async () => {
      const one = quota({ limit: 1 });
      await spend(one);
      server.isAway = true;
      const { retryAfterMs, used } = await spend(one);
      expect(used).toBe(1);
      expect(retryAfterMs).toBeGreaterThan(3_000_000);
    });

    it('blocks, forgets and refunds here, and says that the server does not know', async () => {
      server.isAway = true;
      const one = quota({ limit: 2 });
      expect(await admitted(2, one)).toBe(1);
      await expect(limits.refund(one, 'ann', 1)).rejects.toThrow(StoreUnavailableError);
      expect(await admitted(2, one)).toBe(1);
      await expect(limits.reset(one, 'ann')).rejects.toThrow(StoreUnavailableError);
      expect(await admitted(2, one)).toBe(1);
      await limits.reset(one, 'ann').catch(() => undefined);
      await expect(limits.block(one, 'ann', 60_000)).rejects.toThrow(StoreUnavailableError);
      expect(await spend(one)).toMatchObject({ used: 1, block: 'blocked' });
    });

    it('goes by the strictest word of several policies', async () => {
      server.isAway = true;
      const both = (...onOutage: Quota['onOutage'][]) =>
        limits.spend(
          {
            quotas: onOutage.map((word, at) => quota({ name: `quota ${at}`, limit: 1, onOutage: word })),
            costs: [1, 1],
            consumesOnReject: false,
          },
          ['ann', 'ann'],
        );
      await expect(both('allow', 'reject')).rejects.toThrow(StoreUnavailableError);
      expect((await both('allow', 'local')).states).toMatchObject([{ used: 0 }, { used: 1, retryAfterMs: 0 }]);
      const { states } = await both('allow', 'local');
      expect(states[1]!.retryAfterMs).toBeGreaterThan(0);
    });
  });

  describe('when the server is back', () => {
    const everything = { hasLostData: false, concerns: () => true };

    it('tells it what was admitted without it, once', async () => {
      server.isAway = true;
      await admitted(3, quota());
      server.isAway = false;
      await limits.recover(everything);
      expect(server.restored).toMatchObject([{ subject: 'ann', known: 0, added: 3 }]);
      await limits.recover(everything);
      await spend(quota());
      expect(server.restored).toHaveLength(1);
    });

    it('tells it before the subject is judged again, where it was away for one call only', async () => {
      server.isAway = true;
      await spend(quota());
      server.isAway = false;
      await spend(quota());
      expect(server.restored).toMatchObject([{ subject: 'ann', added: 1 }]);
    });

    it('tells it what it used to know, if it has lost that', async () => {
      await spend(quota(), 4);
      await limits.recover(everything);
      expect(server.restored).toEqual([]);
      await limits.recover({ ...everything, hasLostData: true });
      expect(server.restored).toMatchObject([{ subject: 'ann', known: 4, added: 0 }]);
    });

    it('tells each part of it only what is kept there', async () => {
      server.isAway = true;
      await spend(quota());
      server.isAway = false;
      await limits.recover({ hasLostData: true, concerns: () => false });
      expect(server.restored).toEqual([]);
    });

    it('keeps what it could not tell', async () => {
      server.isAway = true;
      await spend(quota());
      await expect(limits.recover(everything)).rejects.toThrow(StoreUnavailableError);
      server.isAway = false;
      await limits.recover(everything);
      expect(server.restored).toMatchObject([{ added: 1 }]);
    });
  });
});
