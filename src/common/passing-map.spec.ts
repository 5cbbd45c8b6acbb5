import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PassingMap } from './passing-map.ts';

describe('PassingMap', () => {
  it('is a map', () => {
    const map = new PassingMap<{ id: number }>();
    const one = { id: 1 };
    map.set('one', one);
    map.set('two', { id: 2 });
    map.set('two', { id: 3 });
    expect([map.get('one'), map.get('two'), map.get('three'), map.size]).toEqual([one, { id: 3 }, undefined, 2]);
    expect([map.delete('one'), map.delete('one'), map.delete('three')]).toEqual([true, false, false]);
    expect([map.get('one'), map.size, [...map]]).toEqual([undefined, 1, [['two', { id: 3 }]]]);
    map.set('one', one);
    expect([map.get('one'), map.size]).toEqual([one, 2]);
    map.clear();
    expect([map.get('two'), map.size, [...map]]).toEqual([undefined, 0, []]);
  });

  it('keeps what is still there, however much comes and goes', () => {
    const map = new PassingMap<{ id: number }>();
    const kept = new Map<string, { id: number }>();
    for (let id = 0; id < 5_000; id++) {
      const key = `key:${id % 700}`;
      map.set(key, { id });
      kept.set(key, { id });
      if (id % 3 === 0) continue;
      expect(map.delete(key)).toBe(true);
      kept.delete(key);
    }
    expect(new Map(map)).toEqual(kept);
    expect(map.size).toBe(kept.size);
  });

  it('shows what there is while entries are deleted', () => {
    const map = new PassingMap<{ id: number }>();
    for (let id = 0; id < 400; id++) map.set(`key:${id}`, { id });
    const seen: number[] = [];
    for (const [key, { id }] of map) {
      seen.push(id);
      map.delete(key);
    }
    expect(seen).toHaveLength(400);
    expect(map.size).toBe(0);
  });

  it('lets go of what has gone', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const map = new PassingMap<object>();
    const gone = passThrough(map);
    // A WeakRef is not emptied in the turn that made it.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(gone.filter((each) => each.deref() !== undefined)).toEqual([]);
  });
});

function passThrough(map: PassingMap<object>): WeakRef<object>[] {
  return Array.from({ length: 100 }, (_, id) => {
    const value = { id };
    map.set(`key:${id}`, value);
    map.delete(`key:${id}`);
    return new WeakRef(value);
  });
}
