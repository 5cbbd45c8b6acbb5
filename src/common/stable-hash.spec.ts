import { stablePercent } from './stable-hash.ts';

/** Chi-square of counts that should be equal, per degree of freedom: around 1 when they are random. */
function unevenness(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0) / (counts.length - 1);
}

function bucketsOf(keyOf: (index: number) => string): number[] {
  const counts = new Array<number>(100).fill(0);
  for (let index = 0; index < 100_000; index++) counts[Math.floor(stablePercent(keyOf(index)))]!++;
  return counts;
}

describe('stablePercent', () => {
  it('never changes, or a release would move keys in and out of a roll-out', () => {
    expect(['', 'a', 'profile:user:42', 'é🙂'].map(stablePercent)).toEqual([89.23, 17.15, 86.08, 79.7]);
  });

  it('is a number from 0 to 99.99', () => {
    const all = Array.from({ length: 10_000 }, (_, index) => stablePercent(`key:${index}`));
    expect(Math.min(...all)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...all)).toBeLessThanOrEqual(99.99);
  });

  it.each([
    ['numbered keys', (index: number) => `profile:user:${index}`],
    ['numbers in front', (index: number) => `${index}:profile`],
    ['bare numbers', String],
    ['dates', (index: number) => new Date(index * 86_400_000).toISOString()],
    ['keys beyond Latin letters', (index: number) => String.fromCodePoint(0x600 + index)],
  ])('spreads %s evenly', (_, keyOf) => {
    // With 99 degrees of freedom chance alone exceeds 1.8 once in a million.
    expect(unevenness(bucketsOf(keyOf))).toBeLessThan(1.8);
  });
});
