import { plainBytes, plainCopy } from './plain-copy.ts';

const parsed = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const wide = (fields: number) => Object.fromEntries(Array.from({ length: fields }, (_, id) => [`field${id}`, id]));

describe('plainCopy', () => {
  it.each([
    ['a record', { id: 1, name: 'ada', tags: ['a', 'b'], about: { of: [{ deep: [[1.5, null, true]] }] } }],
    ['a list', [1, 'two', { three: 3 }, [4]]],
    ['what is empty', [{}, [], '']],
    ['text', 'text'],
    ['null', null],
  ])('copies %s, nothing shared', (_, value) => {
    const original = parsed(value);
    const copy = plainCopy(original);
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    const inner = new Set(objectsIn(original));
    expect(objectsIn(copy).filter((each) => inner.has(each))).toEqual([]);
  });

  it('keeps the order of fields, and a field that is named as a prototype is', () => {
    const copy = plainCopy(JSON.parse('{"b":1,"__proto__":{"admin":{}},"a":2}') as object);
    expect(Object.keys(copy)).toEqual(['b', '__proto__', 'a']);
    expect(Object.getPrototypeOf(copy)).toBe(Object.getPrototypeOf({}));
    expect((copy as { admin?: object }).admin).toBeUndefined();
  });
});

describe('plainBytes', () => {
  it('counts text, fractions and the places of everything', () => {
    expect(plainBytes({})).toBe(24);
    expect(plainBytes(['ab', 1, 1.5, 'a'])).toBe(48 + 4 * 8 + 22);
    expect(plainBytes({ a: { b: 'x'.repeat(100) }, c: 1.5, d: 1 })).toBe(24 + 3 * 8 + (24 + 8 + 120) + 16);
  });

  it('does not know of what is better parsed again: many fields, or numbers as names', () => {
    expect(plainBytes(wide(100))).toBe(24 + 100 * 8);
    expect(plainBytes([[wide(101)]])).toBeUndefined();
    expect(plainBytes({ of: { 17: 'x' } })).toBeUndefined();
  });
});

function objectsIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(objectsIn)];
}
