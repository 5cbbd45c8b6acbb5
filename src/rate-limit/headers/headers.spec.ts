import type { PolicyStanding } from '../rate-limit.decision.ts';
import type { RateLimitHeaders } from '../rate-limit.options.ts';
import { type RateLimitPolicy, resolvePolicy } from '../rate-limit.policy.ts';
import type { QuotaState } from '../rate-limit-store.interface.ts';
import { headersOf } from './headers.ts';

const standing = (policy: Partial<RateLimitPolicy>, state: Partial<QuotaState>): PolicyStanding => {
  const resolved = resolvePolicy({ name: 'burst', limit: 10, window: '1m', ...policy }, { onOutage: 'local' });
  const still = { used: 0, resetMs: 0, retryAfterMs: 0, block: 'none' as const };
  return { policy: resolved, quota: resolved.quotaFor(undefined), subject: 'ann', state: { ...still, ...state } };
};
const written = (forms: RateLimitHeaders[], ...standings: PolicyStanding[]) =>
  Object.fromEntries(headersOf(forms, standings, { partitionSecret: undefined }));

const admitted = standing({}, { used: 4, resetMs: 16_001 });
const daily = standing({ name: 'Daily limit', limit: 1_000, window: '1d' }, { used: 999, resetMs: 5_012_000 });
/** Some of what it spent comes back long before all of it. */
const refused = standing({}, { used: 10, resetMs: 60_000, retryAfterMs: 4_200 });

describe('headers', () => {
  it('say in draft 10 what is left of each policy, and when all of it is back', () => {
    expect(written(['draft-10'], admitted, daily)).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=60, "daily-limit";q=1000;w=86400',
      RateLimit: '"burst";r=6;t=17, "daily-limit";r=1;t=5012',
    });
  });

  it('tell who is refused when it is worth asking again: never later than Retry-After (RL-03)', () => {
    expect(written(['draft-10'], refused)['RateLimit']).toBe('"burst";r=0;t=5');
    expect(written(['draft-7'], refused)['RateLimit']).toBe('limit=10, remaining=0, reset=5');
    expect(written(['draft-6'], refused)['RateLimit-Reset']).toBe('5');
    expect(written(['legacy'], refused)['X-RateLimit-Reset']).toBe('5');
  });

  it('tell nobody to wait for a policy in shadow', () => {
    const shadow = standing({ name: 'shadow', shadow: true }, { used: 10, resetMs: 60_000, retryAfterMs: 4_200 });
    expect(written(['draft-10'], shadow)['RateLimit']).toBe('"shadow";r=0;t=60');
  });

  it('have one form of a name, that which is listed first', () => {
    const both = written(['draft-7', 'draft-10', 'legacy'], admitted);
    expect(both).toMatchObject({ RateLimit: 'limit=10, remaining=6, reset=17', 'X-RateLimit-Remaining': '6' });
    expect(written([], admitted)).toEqual({});
  });

  it('have windows of whole seconds, one at least', () => {
    const [fast, bucket] = [
      standing({ window: '20ms' }, {}),
      standing({ algorithm: 'gcra', limit: 60, burst: 10, window: '1m' }, {}),
    ];
    expect(written(['draft-10'], fast, bucket)['RateLimit-Policy']).toBe('"burst";q=10;w=1, "burst";q=10;w=10');
  });
});
