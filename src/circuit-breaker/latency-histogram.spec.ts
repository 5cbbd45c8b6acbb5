import { LatencyHistogram } from './latency-histogram.ts';

describe('LatencyHistogram', () => {
  let histogram: LatencyHistogram;

  beforeEach(() => {
    jest.useFakeTimers();
    histogram = new LatencyHistogram();
  });
  afterEach(() => jest.useRealTimers());

  it('knows nothing without calls', () => {
    expect(histogram.quantile(0.5)).toBe(0);
  });

  it('is off by 5 % at most, from microseconds to minutes', () => {
    for (const ms of [0.02, 0.3, 1, 7, 42, 999, 60_000, 600_000]) {
      histogram.clear();
      histogram.record(ms);
      expect(Math.abs(histogram.quantile(0.5) / ms - 1)).toBeLessThan(0.055);
    }
  });

  it('accepts what is beyond its scale', () => {
    for (const ms of [0, 1e12]) histogram.record(ms);
    expect(histogram.quantile(0)).toBe(0);
    expect(histogram.quantile(0.5)).toBeLessThan(0.011);
    expect(histogram.quantile(1)).toBeGreaterThan(600_000);
  });

  it('finds the quantiles of a spread', () => {
    for (let ms = 1; ms <= 1_000; ms += 1) histogram.record(ms);
    expect(Math.abs(histogram.quantile(0.5) - 500)).toBeLessThan(30);
    expect(Math.abs(histogram.quantile(0.99) - 990)).toBeLessThan(60);
  });

  it('forgets calls after a minute at the latest, and not within half a minute', () => {
    histogram.record(100);
    jest.advanceTimersByTime(30_000);
    histogram.record(1);
    expect(histogram.quantile(1)).toBeGreaterThan(90);
    jest.advanceTimersByTime(30_000);
    histogram.record(1);
    expect(histogram.quantile(1)).toBeLessThan(2);
    jest.advanceTimersByTime(120_000);
    expect(histogram.quantile(1)).toBe(0);
  });
});
