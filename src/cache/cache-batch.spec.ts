import { BatchLoader } from './cache-batch.ts';

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

let runs: string[][];
const loaderOf = (...keys: readonly string[]) => {
  const factory = async (missing: string[]) => (runs.push(missing), new Map(missing.map((key) => [key, `a ${key}`])));
  return new BatchLoader(factory, keys);
};

beforeEach(() => {
  jest.useFakeTimers();
  runs = [];
});
afterEach(() => jest.useRealTimers());

describe('a batch of keys', () => {
  it('is loaded by one run, in the order of the caller, as soon as nothing is undecided', async () => {
    const loader = loaderOf('a', 'b', 'c');
    const loaded = [loader.load('c')];
    loader.found('b');
    expect(runs).toEqual([]);
    loaded.push(loader.load('a'));
    expect(runs).toEqual([['a', 'c']]);
    expect(await Promise.all(loaded)).toEqual(['a c', 'a a']);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('runs nothing when every key was found', () => {
    const loader = loaderOf('a', 'b');
    loader.found('a');
    loader.found('b');
    expect([runs, jest.getTimerCount()]).toEqual([[], 0]);
  });

  it.each([
    ['at least 2 ms', 0, 2],
    ['as long again as the first one took', 12, 12],
    ['50 ms at most', 900, 50],
  ])('waits for a key that is still looked for: %s', async (_, afterMs, patienceMs) => {
    const loader = loaderOf('a', 'b');
    await pass(afterMs);
    void loader.load('b');
    await pass(patienceMs - 1);
    expect(runs).toEqual([]);
    await pass(1);
    expect(runs).toEqual([['b']]);
    void loader.load('a');
    expect(runs).toEqual([['b'], ['a']]);
  });

  it('waits anew with each key that is decided', async () => {
    const loader = loaderOf('a', 'b', 'c');
    await pass(10);
    void loader.load('a');
    await pass(8);
    void loader.load('b');
    await pass(8);
    void loader.load('c');
    expect(runs).toEqual([['a', 'b', 'c']]);
  });
});
