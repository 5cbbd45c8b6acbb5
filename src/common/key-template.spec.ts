import fc from 'fast-check';
import { parseTemplate } from './key-template.ts';

const fill = (source: string, roots: Record<string, unknown>) =>
  parseTemplate(source).fill(
    (root) => roots[root],
    ({ path }, found) => {
      throw new Error(`${path} is ${found}`);
    },
  );

describe('a key template', () => {
  it('takes values from roots and what they hold', () => {
    const roots = { '0': { id: 42 }, user: { name: { first: 'ann' } }, page: 1 };
    expect(fill('feed:{0.id}:{user.name.first}:{page}', roots)).toBe('feed:42:ann:1');
  });

  it('is the same key on every call where it has no placeholder', () => {
    expect(fill('users', {})).toBe('users');
  });

  it('encodes what could change the meaning of the key', () => {
    expect(fill('user:{id}', { id: '1:*{a}' })).toBe('user:1%3A%2A%7Ba%7D');
  });

  it('never gives two lists of ids the same key', () => {
    const ids = fc.tuple(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }));
    fc.assert(
      fc.property(ids, ids, ([a, b], [c, d]) => {
        const isSame = a === c && b === d;
        expect(fill('x:{a}-{b}', { a, b }) === fill('x:{a}-{b}', { a: c, b: d })).toBe(isSame);
      }),
    );
  });

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    ['', 'empty'],
    [NaN, 'NaN'],
    [{ id: 1 }, 'object'],
    [['1', '2'], 'an array'],
    [() => 1, 'function'],
    [new Date(NaN), 'object'],
  ])('does not take %p for an id', (id, found) => {
    expect(() => fill('user:{user.id}', { user: { id } })).toThrow(`user.id is ${found}`);
  });

  it('does not look into what is not an object', () => {
    expect(() => fill('user:{id.length}', { id: 'abc' })).toThrow('id.length is undefined');
    expect(() => fill('user:{user.id}', { user: null })).toThrow('user.id is undefined');
  });

  it.each(['user:{id', 'user:id}', 'user:{}', '{a}{b}'])('refuses %s', (source) => {
    expect(() => parseTemplate(source)).toThrow(source);
  });
});
