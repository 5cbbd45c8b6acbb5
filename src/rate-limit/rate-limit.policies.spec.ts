import { InvalidOptionsError } from '../common/errors.ts';
import { RateLimitPolicies } from './rate-limit.policies.ts';
import { RATE_LIMIT_DEFAULTS } from './rate-limit.options.ts';
import type { RateLimitPolicy } from './rate-limit.policy.ts';

describe('RateLimitPolicies', () => {
  let policies: RateLimitPolicies;
  beforeEach(() => {
    policies = new RateLimitPolicies({ ...RATE_LIMIT_DEFAULTS, policies: new Map() });
  });
  const written = (more: Partial<RateLimitPolicy> = {}): RateLimitPolicy => ({
    ...{ name: 'orders', limit: 5, window: '1m' },
    ...more,
  });

  it('reads a policy once that is written down where it is used', () => {
    expect(policies.resolve(written())).toBe(policies.resolve(written()));
    expect(policies.resolve([written()])).not.toBe(policies.resolve(written()));
  });

  it('keeps apart what says something else', () => {
    const sets = [
      written(),
      written({ limit: 6 }),
      written({ window: '2m' }),
      written({ name: 'others' }),
      written({ shadow: true }),
      written({ skip: () => true }),
      written({ skip: () => false }),
      written({ tiers: { pro: 10 } }),
      written({ tiers: { pro: 20 } }),
    ].map((policy) => policies.resolve(policy));
    expect(new Set(sets).size).toBe(sets.length);
  });

  it.each([null, Number.NaN, 'x'])('refuses a wrong option as well when the rest is known: %p', (burst) => {
    policies.resolve(written({ algorithm: 'gcra' }));
    const wrong = { ...written({ algorithm: 'gcra' }), burst } as unknown as RateLimitPolicy;
    expect(() => policies.resolve(wrong)).toThrow(InvalidOptionsError);
  });

  it('still knows a policy after a thousand others', () => {
    for (let limit = 1; limit <= 1_001; limit++) policies.resolve(written({ limit }));
    expect(policies.resolve(written({ limit: 1 })).policies[0]?.limit).toBe(1);
  });
});
