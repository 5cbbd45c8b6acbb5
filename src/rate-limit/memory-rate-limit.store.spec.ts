import { MemoryRateLimitStore } from './memory-rate-limit.store.ts';
import { quotaOf } from './quota.ts';
import type { Quota } from './rate-limit-store.interface.ts';

const WINDOW_MS = 60_000;
const five = quotaOf({ name: 'api', algorithm: 'sliding', limit: 5, windowMs: WINDOW_MS });

describe('MemoryRateLimitStore, where room is short', () => {
  let nowMs: number;
  let store: MemoryRateLimitStore;

  beforeEach(() => {
    nowMs = Date.UTC(2030, 0, 1);
    store = new MemoryRateLimitStore({ now: () => nowMs }, { maxEntries: 50, maxBytes: 1024 ** 2 });
  });

  const spend = (subject: string, quota: Quota = five) =>
    store.spend({ quotas: [quota], costs: [1], consumesOnReject: false }, [subject])[0]!;
  const admitted = (subject: string, calls: number, quota?: Quota) =>
    Array.from({ length: calls }, () => spend(subject, quota)).filter(({ retryAfterMs }) => retryAfterMs === 0).length;
  const flood = (subjects: number, quota?: Quota) => {
    for (let i = 0; i < subjects; i++) spend(`junk ${i}`, quota);
  };

  it('keeps whoever has spent half of its quota, whatever comes after it (B23)', () => {
    let total = 0;
    for (let round = 0; round < 10; round++) {
      total += admitted('attacker', 4);
      flood(500);
    }
    expect(total).toBe(5);
  });

  it('keeps whoever is blocked', () => {
    store.block(five, 'attacker', WINDOW_MS);
    flood(500);
    expect(spend('attacker')).toMatchObject({ block: 'blocked' });
  });

  it('has newcomers share one count once there is room for no other, until those are gone', () => {
    for (let i = 0; i < 50; i++) admitted(`spender ${i}`, 3);
    expect(admitted('one', 3) + admitted('other', 3) + admitted('third', 3)).toBe(5);
    expect(admitted('spender 7', 5)).toBe(2);
    nowMs += WINDOW_MS * 2;
    expect(admitted('one', 5) + admitted('other', 5)).toBe(10);
  });

  it('shares the room out among quotas', () => {
    const login = quotaOf({ name: 'login', algorithm: 'sliding', limit: 5, windowMs: WINDOW_MS });
    admitted('victim', 4, login);
    flood(500);
    expect(admitted('victim', 5, login)).toBe(1);
  });
});

describe('MemoryRateLimitStore, when the clock is set back by an hour', () => {
  let nowMs: number;
  let store: MemoryRateLimitStore;
  const spend = (quota: Quota) => store.spend({ quotas: [quota], costs: [1], consumesOnReject: false }, ['ann'])[0]!;

  beforeEach(() => {
    nowMs = Date.UTC(2030, 0, 1);
    store = new MemoryRateLimitStore({ now: () => nowMs });
  });

  it.each(['sliding', 'fixed', 'gcra'] as const)('refuses nobody for more than two windows (%s)', (algorithm) => {
    const quota = quotaOf({ name: 'api', algorithm, limit: 5, windowMs: WINDOW_MS });
    for (let i = 0; i < 5; i++) spend(quota);
    nowMs -= 3_600_000;
    const { retryAfterMs } = spend(quota);
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(2 * WINDOW_MS);
    nowMs += retryAfterMs;
    expect(spend(quota).retryAfterMs).toBe(0);
  });

  it('makes no block longer than it was', () => {
    store.block(five, 'ann', WINDOW_MS);
    nowMs -= 3_600_000;
    expect(spend(five)).toMatchObject({ block: 'blocked', retryAfterMs: WINDOW_MS });
    nowMs += WINDOW_MS;
    expect(spend(five)).toMatchObject({ block: 'none', retryAfterMs: 0 });
  });
});
