import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BoundedMap, bytesOfText, ENTRY_OVERHEAD_BYTES, type MapLimits } from './bounded-map.ts';

const ROOMY: MapLimits = { maxEntries: 1_000, maxBytes: 1_000_000 };
const costOf = (key: string, bytes: number) => bytesOfText(key) + bytes + ENTRY_OVERHEAD_BYTES;
const fill = (map: BoundedMap<number>, prefix: string, count: number) => {
  for (let i = 0; i < count; i++) map.set(`${prefix}${i}`, i, 8);
};
const countPresent = (map: BoundedMap<number>, prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => map.has(`${prefix}${i}`)).filter(Boolean).length;

describe('BoundedMap', () => {
  it('keeps a value until it is replaced, deleted or cleared', () => {
    const map = new BoundedMap<string>(ROOMY);
    map.set('a', 'one', 3);
    expect(map.get('a')).toBe('one');
    map.set('a', 'two', 3);
    expect([map.get('a'), map.peek('a'), map.has('a'), map.size]).toEqual(['two', 'two', true, 1]);
    expect([map.delete('a'), map.delete('a'), map.get('a'), map.has('a')]).toEqual([true, false, undefined, false]);
    map.set('b', 'three', 5);
    map.clear();
    expect([map.size, map.bytes, map.peek('b')]).toEqual([0, 0, undefined]);
  });

  it('starts anew after it was cleared', () => {
    const map = new BoundedMap<number>({ ...ROOMY, maxEntries: 3 });
    fill(map, 'k', 5);
    map.clear();
    fill(map, 'k', 5);
    expect([...map.entries()].map(([key]) => key)).toEqual(['k2', 'k3', 'k4']);
  });

  it.each(['__proto__', 'constructor', 'hasOwnProperty', ''])('takes %j for an ordinary key', (key) => {
    const map = new BoundedMap<number>(ROOMY);
    expect(map.get(key)).toBeUndefined();
    map.set(key, 1, 8);
    expect([...map]).toEqual([[key, 1]]);
  });

  it('evicts the oldest entry that nobody has read', () => {
    const evicted: [string, number][] = [];
    const map = new BoundedMap<number>({ ...ROOMY, maxEntries: 3 }, (key, value) => evicted.push([key, value]));
    fill(map, 'k', 3);
    map.get('k0');
    map.set('k3', 3, 8);
    map.set('k4', 4, 8);
    expect(evicted).toEqual([
      ['k1', 1],
      ['k2', 2],
    ]);
  });

  it('does not take a peek for a use', () => {
    const map = new BoundedMap<number>({ ...ROOMY, maxEntries: 2 });
    fill(map, 'k', 2);
    map.peek('k0');
    map.set('k2', 2, 8);
    expect(map.has('k0')).toBe(false);
  });

  it('tells nobody about entries that are deleted, replaced or cleared', () => {
    const onEvict = jest.fn();
    const map = new BoundedMap<number>(ROOMY, onEvict);
    fill(map, 'k', 3);
    map.set('k0', 9, 8);
    map.delete('k1');
    map.clear();
    expect(onEvict).not.toHaveBeenCalled();
  });

  it('keeps the hot set through a scan of ten times its capacity', () => {
    const map = new BoundedMap<number>(ROOMY);
    fill(map, 'history', 25 * ROOMY.maxEntries);
    fill(map, 'cold', 500);
    fill(map, 'hot', 500);
    for (let i = 0; i < 500; i++) map.get(`hot${i}`);
    fill(map, 'scan', 10 * ROOMY.maxEntries);
    expect(countPresent(map, 'hot', 500)).toBeGreaterThanOrEqual(450);
  });

  it('keeps the hot set through a scan that is limited by bytes', () => {
    const map = new BoundedMap<number>({ maxEntries: 1_000_000, maxBytes: 1_000 * costOf('hot100', 8) });
    fill(map, 'cold', 500);
    fill(map, 'hot', 400);
    for (let i = 0; i < 400; i++) map.get(`hot${i}`);
    fill(map, 'scan', 10_000);
    expect(countPresent(map, 'hot', 400)).toBeGreaterThanOrEqual(360);
  });

  it('lets a hot set that is no longer read go', () => {
    const map = new BoundedMap<number>(ROOMY);
    fill(map, 'old', 1_000);
    for (let i = 0; i < 1_000; i++) map.get(`old${i}`);
    for (let round = 0; round < 4; round++) {
      fill(map, 'new', 1_000);
      for (let i = 0; i < 1_000; i++) map.get(`new${i}`);
    }
    expect(countPresent(map, 'new', 1_000)).toBeGreaterThanOrEqual(900);
  });

  it('keeps a hot set that is read between the scans through any number of them', () => {
    const map = new BoundedMap<number>(ROOMY);
    fill(map, 'cold', 500);
    fill(map, 'hot', 500);
    for (let scan = 0; scan < 10; scan++) {
      for (let i = 0; i < 500; i++) map.get(`hot${i}`);
      fill(map, `scan${scan}.`, 5 * ROOMY.maxEntries);
    }
    expect(countPresent(map, 'hot', 500)).toBeGreaterThanOrEqual(450);
  });

  it('lets a hot set that is no longer read go, though each newer entry would leave before it is read again', () => {
    const map = new BoundedMap<number>(ROOMY);
    fill(map, 'cold', 10);
    fill(map, 'old', 990);
    for (let i = 0; i < 990; i++) map.get(`old${i}`);
    const hitsOf = (reads: number) => {
      let hits = 0;
      for (let i = 0; i < reads; i++) {
        if (map.get(`loop${i % 50}`) === undefined) map.set(`loop${i % 50}`, i, 8);
        else hits++;
      }
      return hits;
    };
    expect(hitsOf(10_000)).toBe(0);
    hitsOf(10_000);
    expect(hitsOf(10_000)).toBe(10_000);
  });

  it('refuses what is larger than the map, and keeps no older value in its place', () => {
    const map = new BoundedMap<string>({ maxEntries: 10, maxBytes: 1_000 });
    map.set('a', 'old', 3);
    map.set('b', 'other', 5);
    expect(map.set('a', 'huge', 1_000)).toBe(false);
    expect([map.has('a'), map.get('b'), map.bytes]).toEqual([false, 'other', costOf('b', 5)]);
  });

  it('does not evict an entry to make room for its own replacement', () => {
    const evicted: string[] = [];
    const map = new BoundedMap<number>({ maxEntries: 10, maxBytes: 2 * costOf('a', 100) }, (key) => evicted.push(key));
    map.set('a', 1, 100);
    map.set('b', 2, 100);
    expect(map.set('a', 3, 150)).toBe(true);
    expect([map.get('a'), evicted]).toEqual([3, ['b']]);
  });

  describe('pinned entries', () => {
    it('are never evicted, but count', () => {
      const map = new BoundedMap<number>({ ...ROOMY, maxEntries: 3 });
      map.setPinned('pinned', 1, 8);
      fill(map, 'k', 100);
      expect([map.has('pinned'), map.size]).toEqual([true, 3]);
    });

    it('are refused when they alone would exceed a limit', () => {
      const map = new BoundedMap<number>({ ...ROOMY, maxEntries: 2 });
      map.setPinned('a', 1, 8);
      map.setPinned('b', 1, 8);
      expect([map.fits('c', 8), map.setPinned('c', 1, 8), map.set('c', 1, 8)]).toEqual([false, false, false]);
      expect([map.fits('b', 8), map.setPinned('b', 2, 8), map.get('b')]).toEqual([true, true, 2]);
    });

    it('become evictable when replaced by an ordinary value', () => {
      const map = new BoundedMap<number>({ ...ROOMY, maxEntries: 1 });
      map.setPinned('a', 1, 8);
      map.set('a', 2, 8);
      map.set('b', 3, 8);
      expect([...map]).toEqual([['b', 3]]);
    });

    it('grow at the cost of others, and stay as they were when they cannot', () => {
      const map = new BoundedMap<number>({ maxEntries: 10, maxBytes: 1_000 });
      map.setPinned('pinned', 1, 0);
      fill(map, 'k', 4);
      expect([map.grow('pinned', 700), map.size]).toEqual([true, 2]);
      expect([map.grow('pinned', 300), map.get('pinned'), map.bytes <= 1_000]).toEqual([false, 1, true]);
      expect([map.grow('pinned', -700), map.bytes]).toEqual([true, costOf('pinned', 0) + costOf('k3', 8)]);
      expect(map.grow('nobody', 1)).toBe(false);
    });
  });

  it('may be changed while it is iterated', () => {
    const map = new BoundedMap<number>(ROOMY);
    fill(map, 'k', 10);
    const seen: string[] = [];
    for (const [key, value] of map) {
      seen.push(key);
      map.delete(key);
      map.delete(`k${value + 1}`);
    }
    expect([seen, map.size]).toEqual([['k0', 'k2', 'k4', 'k6', 'k8'], 0]);
  });

  it('counts bytes within a fifth of what the heap says', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const heapBytes = async () => {
      let [used, calmRounds] = [Infinity, 0];
      // What earlier specs left behind goes in several rounds.
      for (let round = 0; round < 50 && calmRounds < 5; round++) {
        collectGarbage();
        await sleep(10);
        const before = used;
        used = process.memoryUsage().heapUsed;
        calmRounds = Math.abs(before - used) < 100_000 ? calmRounds + 1 : 0;
      }
      return used;
    };
    const textOf = (i: number) => Buffer.from(String(i).padEnd(30, 'x')).toString('latin1');
    const before = await heapBytes();
    const map = new BoundedMap<string>({ maxEntries: 100_000, maxBytes: 2 ** 40 });
    for (let i = 0; i < 100_000; i++) map.set(textOf(i), textOf(-i), bytesOfText(textOf(-i)));
    const real = (await heapBytes()) - before;
    expect(map.bytes / real).toBeGreaterThan(0.8);
    expect(map.bytes / real).toBeLessThan(1.2);
  });
});

describe('bytesOfText', () => {
  it('counts one byte per character of Latin-1 text and two of any other', () => {
    const [none, latin, other] = ['', 'é'.repeat(100), 'ж'.repeat(100)].map(bytesOfText);
    expect([latin! - none!, other! - none!]).toEqual([100, 200]);
  });
});
