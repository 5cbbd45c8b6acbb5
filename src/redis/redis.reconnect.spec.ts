import { reconnectDelayMs, StalePrimaryPolicy } from './redis.reconnect.ts';

const replyError = (message: string): Error => Object.assign(new Error(message), { name: 'ReplyError' });
const delaysOf = (attempt: number) => Array.from({ length: 200 }, () => reconnectDelayMs(attempt));

describe('reconnectDelayMs', () => {
  it.each([
    [1, 0, 20],
    [2, 50, 100],
    [3, 100, 200],
    [5, 400, 800],
    [6, 500, 1_000],
    [1_000, 500, 1_000],
  ])('keeps attempt %i between %i and %i ms', (attempt, shortest, longest) => {
    const delays = delaysOf(attempt);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(shortest);
    expect(Math.max(...delays)).toBeLessThanOrEqual(longest);
  });

  it('spreads the attempts of processes that lost the same server', () => {
    for (const attempt of [1, 2, 10]) expect(new Set(delaysOf(attempt)).size).toBeGreaterThan(190);
  });

  it('makes at most 15 attempts in 5 seconds', () => {
    let [attempts, elapsedMs] = [0, 0];
    while (elapsedMs < 5_000) elapsedMs += reconnectDelayMs((attempts += 1));
    expect(attempts).toBeLessThanOrEqual(15);
  });
});

describe('StalePrimaryPolicy', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it.each(['READONLY', 'LOADING', 'MASTERDOWN'])('connects again when the server answers %s', (code) => {
    expect(new StalePrimaryPolicy().shouldReconnect(replyError(`${code} later`))).toBe(true);
  });

  it.each(['WRONGTYPE', 'OOM', 'NOAUTH', 'ERR'])('stays connected when the server answers %s', (code) => {
    expect(new StalePrimaryPolicy().shouldReconnect(replyError(`${code} no`))).toBe(false);
  });

  it('does not connect again and again while the server stays a replica', () => {
    const policy = new StalePrimaryPolicy();
    const reconnects = Array.from({ length: 50 }, () => {
      jest.advanceTimersByTime(100);
      return policy.shouldReconnect(replyError('READONLY still'));
    });
    expect(reconnects.filter(Boolean)).toHaveLength(1);
    jest.advanceTimersByTime(5_000);
    expect(policy.shouldReconnect(replyError('READONLY still'))).toBe(true);
  });
});
