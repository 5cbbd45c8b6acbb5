import { CACHE_DEFAULTS } from './cache.options.ts';
import { isAgeing, isDue } from './early-refresh.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

const optionsWith = (earlyRefresh: number | false) =>
  new ReadOptionsResolver(CACHE_DEFAULTS).forRead({ ttl: '100s', earlyRefresh });

/** In how many of a thousand draws, spread evenly, an entry is refreshed. */
function share(remainingMs: number, costMs: number, earlyRefresh: number | false = 0.8): number {
  const draws = Array.from({ length: 1_000 }, (_, i) => (i + 0.5) / 1_000);
  return draws.filter((draw) => isDue({ remainingMs, costMs }, optionsWith(earlyRefresh), () => draw)).length;
}

describe('early refresh', () => {
  it('is never before the given share of the TTL, and never when nobody asked for it', () => {
    expect([isAgeing(20_001, optionsWith(0.8)), isAgeing(19_999, optionsWith(0.8))]).toEqual([false, true]);
    expect(share(20_001, 1e9)).toBe(0);
    expect(share(1, 1e9, false)).toBe(0);
    expect(share(1, 1e9, 1)).toBe(0);
  });

  it('is as likely as XFetch says: exp(-remaining / cost)', () => {
    for (const [remainingMs, costMs] of [
      [10_000, 5_000],
      [5_000, 5_000],
      [1_000, 5_000],
    ] as const) {
      // prettier-ignore
      expect(Math.abs(share(remainingMs, costMs) - 1_000 * Math.exp(-remainingMs / costMs))).toBeLessThanOrEqual(1);
    }
  });

  it('is left some time also for a factory that takes none', () => {
    // A tenth of the last 20 seconds.
    expect(Math.abs(share(2_000, 0) - 1_000 * Math.exp(-1))).toBeLessThanOrEqual(1);
  });

  it('is certain at the end', () => {
    expect(share(0, 1)).toBe(1_000);
  });
});
