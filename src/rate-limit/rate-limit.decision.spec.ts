import { PolicySet } from './policy-set.ts';
import { Judgement } from './rate-limit.decision.ts';
import type { QuotaState } from './rate-limit-store.interface.ts';
import { type RateLimitPolicy, resolvePolicy } from './rate-limit.policy.ts';

interface Case {
  readonly policy?: Partial<RateLimitPolicy>;
  readonly state: Partial<QuotaState>;
}

function judge(...cases: Case[]): Judgement {
  const policies = cases.map(({ policy }, at) =>
    resolvePolicy({ name: `policy ${at}`, limit: 10, window: '1m', ...policy }, { onOutage: 'local' }),
  );
  const set = new PolicySet(policies, false);
  const request = { set, subjects: cases.map((_, at) => `subject ${at}`), charge: set.chargeFor(undefined) };
  const states = cases.map(({ state }) => ({ used: 0, resetMs: 0, retryAfterMs: 0, block: 'none' as const, ...state }));
  return new Judgement(request, states, false);
}
const decide = (...cases: Case[]) => judge(...cases).decision;

describe('a decision about several policies', () => {
  it('has the figures of the one with the least share left', () => {
    const decision = decide(
      { policy: { limit: 100 }, state: { used: 90, resetMs: 1 } },
      { state: { used: 8, resetMs: 2 } },
    );
    expect(decision).toMatchObject({ allowed: true, policy: 'policy 0', limit: 100, remaining: 10, resetMs: 1 });
    expect(decision).toMatchObject({ retryAfterMs: 0, violated: [] });
  });

  it('has those of one that refused, whatever is left of the others', () => {
    const costly = { state: { used: 6, retryAfterMs: 500 } };
    expect(decide({ state: { used: 9 } }, costly)).toMatchObject({
      ...{ allowed: false, policy: 'policy 1', remaining: 4, retryAfterMs: 500, violated: ['policy 1'] },
    });
  });

  it('names all that refused, and the longest time', () => {
    const decision = decide({ state: { used: 10, retryAfterMs: 500 } }, { state: { used: 10, retryAfterMs: 900 } });
    expect(decision).toMatchObject({ violated: ['policy 0', 'policy 1'], retryAfterMs: 900 });
  });

  it('leaves a policy in shadow out, unless there is no other', () => {
    const shadow = { policy: { shadow: true }, state: { used: 10, retryAfterMs: 500 } };
    expect(decide(shadow, { state: { used: 1 } })).toMatchObject({ allowed: true, policy: 'policy 1', remaining: 9 });
    expect(decide(shadow)).toMatchObject({ allowed: true, policy: 'policy 0', retryAfterMs: 0, violated: [] });
  });

  it('leaves nothing to who is blocked', () => {
    expect(decide({ state: { used: 2, retryAfterMs: 500, block: 'blocked' } })).toMatchObject({ remaining: 0 });
  });

  it('is made of where the call stands with each', () => {
    const { standings } = judge({ state: { used: 1 } }, { state: { used: 2 } });
    expect(standings.map(({ policy, subject, state }) => [policy.name, subject, state.used])).toEqual([
      ['policy 0', 'subject 0', 1],
      ['policy 1', 'subject 1', 2],
    ]);
  });
});
