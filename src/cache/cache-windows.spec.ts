import { CacheMetrics } from './cache-metrics.ts';
import { CacheWindows } from './cache-windows.ts';

let now = 0;
let metrics: CacheMetrics;
let windows: CacheWindows;
beforeEach(() => {
  now = 0;
  metrics = new CacheMetrics();
  windows = new CacheWindows(metrics, () => now);
});

/** Lets seconds pass; each one begins with what `during` counts. */
function pass(seconds: number, during: () => void = () => undefined): void {
  for (let second = 0; second < seconds; second++) {
    during();
    now += 1_000;
    windows.tick();
  }
}

describe('CacheWindows', () => {
  it('shows nothing where nothing happened', () => {
    expect(windows.over('1h')).toMatchObject({ hits: 0, hitRate: 0, errorRate: 0, throughput: 0, p99Ms: 0 });
  });

  it('counts from the start while that is less long ago', () => {
    const counts = metrics.caches.of('a');
    pass(10, () => (counts.memoryHits += 3));
    expect(windows.over('1m')).toMatchObject({ hits: 30, hitRate: 1, throughput: 3 });
  });

  it('forgets what was before its beginning, to one step of it', () => {
    const counts = metrics.caches.of('a');
    pass(100, () => (counts.misses += 1));
    pass(61, () => (counts.storeHits += 1));
    expect(windows.over('1m')).toMatchObject({ misses: 0, hitRate: 1 });
    const { misses, hits } = windows.over('5m');
    expect([misses, hits]).toEqual([100, 61]);
    pass(300);
    expect(windows.over('5m')).toMatchObject({ misses: 0, hits: 0, throughput: 0 });
    expect(windows.over('1h')).toMatchObject({ misses: 100, hits: 61 });
    pass(3_600);
    expect(windows.over('1h')).toMatchObject({ misses: 0, hits: 0 });
  });

  it('tells caches apart, and adds them up', () => {
    metrics.caches.of('a').memoryHits = 3;
    metrics.caches.of('b').misses = 1;
    metrics.caches.of('b').failures = 2;
    expect(windows.over('1m', 'a')).toMatchObject({ hits: 3, misses: 0, hitRate: 1 });
    expect(windows.over('1m', 'b')).toMatchObject({ hits: 0, misses: 1, failures: 2 });
    expect(windows.over('1m')).toMatchObject({ hits: 3, misses: 1, failures: 2, hitRate: 0.5 });
    expect(windows.over('1m').errorRate).toBeCloseTo(1 / 3);
    expect(windows.over('1m', 'unknown')).toMatchObject({ hits: 0, hitRate: 0 });
  });

  it('takes hits in memory for faster than anything that was timed', () => {
    const counts = metrics.caches.of('a');
    counts.memoryHits = 90;
    for (let read = 0; read < 10; read++) counts.reads.record(40);
    const { p50Ms, p95Ms, p99Ms } = windows.over('1m');
    expect(p50Ms).toBeLessThan(0.1);
    expect(p95Ms).toBeGreaterThan(25);
    expect(p99Ms).toBeLessThanOrEqual(50);
  });

  it('begins again when the counters do', () => {
    metrics.caches.of('a').memoryHits = 5;
    pass(5);
    metrics.reset();
    windows.reset();
    metrics.caches.of('a').memoryHits = 2;
    expect(windows.over('1m').hits).toBe(2);
  });
});
