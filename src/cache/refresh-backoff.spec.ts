import { RefreshBackoff } from './refresh-backoff.ts';

function setUp() {
  let ms = 1_000_000;
  const backoff = new RefreshBackoff({ now: () => ms });
  /** For how long the key is left alone from now on. */
  const pauseOf = (key: string): number => {
    const from = ms;
    while (backoff.isPaused(key)) ms += 500;
    return ms - from;
  };
  return { backoff, pauseOf };
}

describe('RefreshBackoff', () => {
  it('leaves a source alone for a second, twice as long after each further failure, half a minute at most', () => {
    const { backoff, pauseOf } = setUp();
    expect(backoff.isPaused('k')).toBe(false);
    const pauses = Array.from({ length: 7 }, () => {
      backoff.failed('k');
      return pauseOf('k');
    });
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('begins anew after a success, and knows its keys apart', () => {
    const { backoff, pauseOf } = setUp();
    for (let i = 0; i < 5; i++) backoff.failed('k');
    backoff.succeeded('k');
    expect([backoff.isPaused('k'), backoff.isPaused('other')]).toEqual([false, false]);
    backoff.failed('k');
    expect(backoff.isPaused('other')).toBe(false);
    expect(pauseOf('k')).toBe(1_000);
  });

  it('stays within its bounds, however many keys fail', () => {
    const { backoff } = setUp();
    for (let i = 0; i < 20_000; i++) backoff.failed(`k${i}`);
    const paused = Array.from({ length: 20_000 }, (_, i) => backoff.isPaused(`k${i}`)).filter(Boolean);
    expect(paused).toHaveLength(10_000);
  });
});
