import { RetryBudget } from './retry-budget.ts';

describe('RetryBudget', () => {
  let nowMs: number;
  let budget: RetryBudget;
  beforeEach(() => {
    nowMs = 5_000_000;
    budget = new RetryBudget(0.2, () => nowMs);
  });

  const requests = (count: number): void => {
    for (let i = 0; i < count; i += 1) budget.requested();
  };
  const granted = (): number => {
    let count = 0;
    while (count < 1_000 && budget.take()) count += 1;
    return count;
  };

  it('allows three a second where there is little to do', () => {
    requests(10);
    expect(granted()).toBe(30);
  });

  it('allows a share of the requests of the last ten seconds', () => {
    requests(500);
    nowMs += 9_000;
    requests(500);
    expect(granted()).toBe(200);
    nowMs += 1_000;
    // The first half is over ten seconds old, the retries are not.
    expect(granted()).toBe(0);
  });

  it('forgets what is older, however long nobody came', () => {
    requests(1_000);
    expect(granted()).toBe(200);
    nowMs += 10_000;
    expect(granted()).toBe(30);
    nowMs += 3_600_000;
    expect(granted()).toBe(30);
  });
});
