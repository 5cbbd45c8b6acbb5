import {
  InvalidKeyError,
  InvalidOptionsError,
  InvalidTtlError,
  OutcomeUnknownError,
  StoreUnavailableError,
} from '../common/errors.ts';
import { MemoryRateLimitStore } from './memory-rate-limit.store.ts';
import type { Charge, Quota, Restoration, SharedRateLimitStore } from './rate-limit-store.interface.ts';
import { isRateLimitExceededError, RateLimitExceededError } from './rate-limit.errors.ts';
import { type RateLimitModuleOptions, resolveRateLimitOptions } from './rate-limit.options.ts';
import type { RateLimitPolicy } from './rate-limit.policy.ts';
import { RateLimitService } from './rate-limit.service.ts';
import { SharedLimits } from './shared-limits.ts';

const otp = { name: 'otp', limit: 3, window: '1m' } as const;

/** A working store that fails every call while `failure` is set. */
class FaultyRateLimitStore implements SharedRateLimitStore {
  failure: Error | undefined;
  /** `act quota subject` of every call. */
  readonly calls: string[] = [];
  readonly restored: Restoration[] = [];
  readonly #inner = new MemoryRateLimitStore();

  isAvailable(): boolean {
    return this.failure === undefined;
  }

  spend = (charge: Charge, subjects: readonly string[]) =>
    this.#act('spend', charge.quotas, subjects, () => this.#inner.spend(charge, subjects));
  look = (charge: Charge, subjects: readonly string[]) =>
    this.#act('look', charge.quotas, subjects, () => this.#inner.look(charge, subjects));
  refund = (quota: Quota, subject: string, units: number) =>
    this.#act('refund', [quota], [subject], () => this.#inner.refund(quota, subject, units));
  block = (quota: Quota, subject: string, ms: number) =>
    this.#act('block', [quota], [subject], () => this.#inner.block(quota, subject, ms));
  reset = (quota: Quota, subject: string) =>
    this.#act('reset', [quota], [subject], () => this.#inner.reset(quota, subject));
  restore = (restorations: readonly Restoration[]) =>
    this.#act('restore', [], [], () => void this.restored.push(...restorations));

  async #act<T>(act: string, quotas: readonly Quota[], subjects: readonly string[], run: () => T): Promise<T> {
    this.calls.push([act, ...quotas.map(({ id }, at) => `${id}/${subjects[at]}`)].join(' '));
    if (this.failure !== undefined) throw this.failure;
    return run();
  }
}

describe('RateLimitService', () => {
  let store: FaultyRateLimitStore;
  let limits: RateLimitService;
  let warnings: string[];

  const serviceWith = (options: RateLimitModuleOptions = {}) => {
    const faults: string[] = [];
    const resolved = resolveRateLimitOptions(undefined, options, faults);
    expect(faults).toEqual([]);
    const logger = { warn: (message: string) => void warnings.push(message) };
    return new RateLimitService(new SharedLimits(store, resolved.instances), resolved, logger);
  };

  beforeEach(() => {
    warnings = [];
    store = new FaultyRateLimitStore();
    limits = serviceWith();
  });

  async function countAdmitted(calls: number, policy: RateLimitPolicy = otp, subject = 'alice'): Promise<number> {
    let admitted = 0;
    for (let i = 0; i < calls; i++) admitted += Number((await limits.consume(policy, subject)).allowed);
    return admitted;
  }

  it('decides, and says why', async () => {
    expect(await limits.consume(otp, 'alice', { cost: 2 })).toEqual({
      allowed: true,
      limit: 3,
      remaining: 1,
      resetMs: expect.any(Number) as number,
      retryAfterMs: 0,
      policy: 'otp',
      violated: [],
      degraded: false,
    });
    const refused = await limits.consume(otp, 'alice', { cost: 2 });
    expect(refused).toMatchObject({ allowed: false, limit: 3, remaining: 1, policy: 'otp', violated: ['otp'] });
    expect(refused.retryAfterMs).toBeGreaterThan(55_000);
  });

  it('looks without spending, and forgets', async () => {
    await countAdmitted(3);
    expect(await limits.check(otp, 'alice')).toMatchObject({ allowed: false, remaining: 0, violated: ['otp'] });
    await limits.reset(otp, 'alice');
    expect(await limits.check(otp, 'alice')).toMatchObject({ allowed: true, remaining: 3, violated: [] });
  });

  it('counts subjects, policies and windows apart', async () => {
    expect(await countAdmitted(5)).toBe(3);
    expect(await countAdmitted(5, otp, 'bob')).toBe(3);
    expect(await countAdmitted(5, { ...otp, name: 'login' })).toBe(3);
    expect(await countAdmitted(5, { ...otp, window: '1h' })).toBe(3);
  });

  it('does not mistake a part of the name for a part of the subject', async () => {
    const pairs = [
      ['a', '60000:b'],
      ['a:60000', 'b'],
      ['a%3A60000', 'b'],
      ['a', 'b'],
    ] as const;
    for (const [name, subject] of pairs) expect(await countAdmitted(5, { ...otp, name }, subject)).toBe(3);
    expect(new Set(store.calls).size).toBe(pairs.length);
  });

  it('answers the plain question with yes or no', async () => {
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await limits.checkRateLimit('otp:alice', 3, 60));
    expect(answers).toEqual([true, true, true, false]);
    expect(await limits.checkRateLimit('otp:bob', 3, '1m')).toBe(true);
  });

  describe('what is logged and counted', () => {
    const spendMany = async (policy: RateLimitPolicy, calls: number) => {
      for (let i = 0; i < calls; i++) await limits.consume(policy, 'ann@example.com');
    };

    it('is each violation that counts towards a block, and the block, once, without saying whose it is', async () => {
      await spendMany({ ...otp, limit: 1, escalate: { after: 2, within: '1m', block: '1h' } }, 4);
      expect(warnings).toHaveLength(2);
      expect(warnings[0]).toMatch(/^rate limit "otp" violated by subject [0-9a-f]{12}$/);
      expect(warnings[1]).toMatch(/^rate limit "otp" violated by subject [0-9a-f]{12}, blocked for 3600000 ms$/);
      expect(warnings.join()).not.toContain('ann');
      expect(limits.getMetrics()).toMatchObject({ allowed: 1, refused: 3, escalated: 1, shadowed: 0 });
    });

    it('is what a policy in shadow would have refused', async () => {
      await spendMany({ ...otp, limit: 1, shadow: true }, 3);
      expect(warnings).toHaveLength(2);
      expect(warnings[0]).toContain('would have been violated');
      expect(limits.getMetrics()).toMatchObject({ allowed: 3, refused: 0, shadowed: 2 });
    });

    it('is no violation of a policy that blocks nobody: whoever is refused may ask all day long', async () => {
      await spendMany(otp, 10);
      expect(warnings).toEqual([]);
      expect(limits.getMetrics()).toMatchObject({ allowed: 3, refused: 7, refusedFromMemory: 6 });
    });
  });

  describe('without the server', () => {
    const outages = [
      ['refuses connections', new StoreUnavailableError('x', 'not connected')],
      ['does not answer', new OutcomeUnknownError('x', 'no answer')],
    ] as const;

    it.each(outages)('counts in this process when the server %s', async (_, failure) => {
      store.failure = failure;
      expect(await limits.consume(otp, 'alice')).toMatchObject({ allowed: true, remaining: 2, degraded: true });
      expect(await countAdmitted(5)).toBe(2);
      expect(await limits.check(otp, 'alice')).toMatchObject({ allowed: false, degraded: true, violated: ['otp'] });
    });

    it.each(outages)('refuses with 503 under `reject` when the server %s', async (_, failure) => {
      store.failure = failure;
      const policy = { ...otp, onOutage: 'reject' } as const;
      await expect(limits.consume(policy, 'alice')).rejects.toThrow(StoreUnavailableError);
      await expect(limits.check(policy, 'alice')).rejects.toThrow(StoreUnavailableError);
    });

    it.each(outages)('admits everything under `allow` when the server %s', async (_, failure) => {
      store.failure = failure;
      expect(await countAdmitted(10, { ...otp, onOutage: 'allow' })).toBe(10);
      const decision = await limits.consume({ ...otp, onOutage: 'allow' }, 'alice');
      expect(decision).toMatchObject({ allowed: true, degraded: true });
    });

    it('follows the module where the policy says nothing', async () => {
      const strict = serviceWith({ onOutage: 'reject' });
      store.failure = new StoreUnavailableError('x', 'not connected');
      await expect(strict.consume(otp, 'alice')).rejects.toThrow(StoreUnavailableError);
      await expect(strict.checkRateLimit('alice', 3, 60)).rejects.toThrow(StoreUnavailableError);
      expect(await strict.consume({ ...otp, onOutage: 'local' }, 'alice')).toMatchObject({ degraded: true });
    });

    it('goes back to the server as soon as it answers', async () => {
      store.failure = new StoreUnavailableError('x', 'not connected');
      await countAdmitted(5);
      store.failure = undefined;
      expect(await limits.consume(otp, 'alice')).toMatchObject({ allowed: true, degraded: false });
    });

    it('passes other failures on', async () => {
      store.failure = new Error('bug');
      await expect(limits.consume(otp, 'alice')).rejects.toBe(store.failure);
    });
  });

  describe('wrong input', () => {
    afterEach(() => {
      if (store.calls.length > 0) throw new Error('the server was asked');
    });

    it.each(['', '  ', undefined, null, 42, {}])('refuses the subject %j', async (subject) => {
      await expect(limits.consume(otp, subject as string)).rejects.toThrow(InvalidKeyError);
      await expect(limits.check(otp, subject as string)).rejects.toThrow(InvalidKeyError);
      await expect(limits.reset(otp, subject as string)).rejects.toThrow(InvalidKeyError);
      await expect(limits.checkRateLimit(subject as string, 1, 60)).rejects.toThrow(InvalidKeyError);
    });

    it.each([0, -1, 1.5, NaN, Infinity, 2 ** 53, '20', null, undefined])('refuses the limit %j', async (limit) => {
      await expect(limits.consume({ ...otp, limit: limit as number }, 'alice')).rejects.toThrow(InvalidOptionsError);
      await expect(limits.checkRateLimit('alice', limit as number, 60)).rejects.toThrow(InvalidOptionsError);
    });

    it.each(['0s', '-1s', 'NaNs', '', 60, null, undefined])('refuses the window %j', async (window) => {
      await expect(limits.consume({ ...otp, window: window as '1s' }, 'alice')).rejects.toThrow(InvalidOptionsError);
    });

    it.each([-1, NaN, Infinity, 2 ** 31 + 1, '60', null])('refuses the window of %j seconds', async (seconds) => {
      await expect(limits.checkRateLimit('alice', 3, seconds as number)).rejects.toThrow(InvalidTtlError);
    });

    it('refuses a window of no time', async () => {
      await expect(limits.checkRateLimit('alice', 3, 0)).rejects.toThrow(InvalidOptionsError);
    });

    it.each([0, -1, 0.5, NaN, Infinity, 4, 1e9, '1', null])('refuses the cost %j', async (cost) => {
      await expect(limits.consume(otp, 'alice', { cost: cost as number })).rejects.toThrow(InvalidOptionsError);
    });

    it.each([[[]], [null], [true], ['gold'], [{ tiers: 'gold' }]])(
      'refuses %j where options belong',
      async (options) => {
        await expect(limits.consume(otp, 'alice', options as object)).rejects.toThrow(InvalidOptionsError);
        await expect(limits.check(otp, 'alice', options as object)).rejects.toThrow(InvalidOptionsError);
      },
    );

    it('names every fault of a policy, and options it does not know', async () => {
      const policy = {
        name: ' ',
        limit: 0,
        window: '1 hour',
        onOutage: 'maybe',
        shadow: 'yes',
        algorithm: 'leaky',
        by: 'name',
        tiers: 3,
        burst: 0,
        cost: 0,
        skip: 1,
        refund: 'all',
        unknown: 1,
      };
      const failure = limits.consume(policy as unknown as RateLimitPolicy, 'alice');
      for (const option of Object.keys(policy)) await expect(failure).rejects.toThrow(option);
      await expect(limits.consume({} as RateLimitPolicy, 'alice')).rejects.toThrow(/name.*limit.*window/s);
    });
  });
});

describe('RateLimitExceededError', () => {
  it('is a 429 that says when to retry and which policies refused', () => {
    const error = new RateLimitExceededError(1_500, ['otp']);
    expect(error.getStatus()).toBe(429);
    expect(error).toMatchObject({ code: 'KEEP_RATE_LIMIT_EXCEEDED', retryAfterMs: 1_500, violated: ['otp'] });
    expect(isRateLimitExceededError(error)).toBe(true);
    expect(isRateLimitExceededError(new Error('x'))).toBe(false);
  });
});
