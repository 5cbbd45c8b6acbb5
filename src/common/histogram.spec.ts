import { Histogram, quantileOf } from './histogram.ts';

describe('Histogram', () => {
  it('counts a time in the first bucket whose bound it does not exceed', () => {
    const histogram = new Histogram([1, 10]);
    for (const ms of [0, 1, 1.01, 10, 10.01, 99_999]) histogram.record(ms);
    expect(histogram.counts).toEqual([2, 2, 2]);
    expect(histogram.count).toBe(6);
    expect(histogram.sumMs).toBeCloseTo(100_021.02);
  });

  it('forgets', () => {
    const histogram = new Histogram([1]);
    histogram.record(5);
    histogram.clear();
    expect([histogram.counts, histogram.sumMs]).toEqual([[0, 0], 0]);
  });
});

describe('quantileOf', () => {
  const bounds = [1, 10, 100];

  it.each([
    [0.5, [10, 0, 0, 0], 0.5],
    [1, [10, 0, 0, 0], 1],
    [0.99, [98, 2, 0, 0], 5.5],
    [0.5, [0, 0, 4, 0], 55],
    [0.99, [0, 0, 0, 7], 100],
    [0.5, [0, 0, 0, 0], 0],
    [0.5, [], 0],
  ])('finds %d of %j at %d ms', (share, counts, ms) => {
    expect(quantileOf(counts, share, bounds)).toBe(ms);
  });
});
