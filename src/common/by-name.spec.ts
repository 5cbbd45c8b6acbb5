import { ByName } from './by-name.ts';

const counters = (maxNames?: number) => new ByName(() => ({ n: 0 }), maxNames);

describe('ByName', () => {
  it('hands out the same counters for the same name, whenever it is asked', () => {
    const byName = counters();
    byName.of('a').n++;
    byName.of('a').n++;
    byName.of('b').n++;
    expect([...byName]).toEqual([
      ['a', { n: 2 }],
      ['b', { n: 1 }],
    ]);
  });

  it('counts what has no name, and every name after the last one that fits, as `other`', () => {
    const byName = counters(2);
    for (const name of ['a', 'b', 'c', 'd', undefined, 'a']) byName.of(name).n++;
    expect([...byName]).toEqual([
      ['a', { n: 2 }],
      ['b', { n: 1 }],
      ['other', { n: 3 }],
    ]);
  });

  it('has 100 names and no more unless it is told otherwise', () => {
    const byName = counters();
    for (let index = 0; index < 20_000; index++) byName.of(`user ${index}`).n++;
    expect([...byName]).toHaveLength(101);
    expect(byName.get('other')).toEqual({ n: 19_900 });
  });

  it.each([
    ['\u001b[31mred\n', '?[31mred?'],
    ['a\u202eb\u2028c', 'a?b?c'],
    ['\ud800', '\ufffd'],
    ['x'.repeat(500), 'x'.repeat(120)],
    ['__proto__', '__proto__'],
  ])('shows %j as %j', (name, shown) => {
    const byName = counters();
    byName.of(name).n++;
    expect([...byName]).toEqual([[shown, { n: 1 }]]);
  });
});
