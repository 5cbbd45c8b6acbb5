import { encode, type Encoded } from '../common/codec.ts';
import { againOf, copyOf } from './cache-reader.ts';

const encoded = (value: unknown): Encoded => encode(value, { maxBytes: 1e6, compressAboveBytes: 1_000 }) as Encoded;

describe('the copies of a value for all who waited for it', () => {
  it.each([
    ['a record', { id: 1, of: [{ deep: [1] }] }],
    ['what is compressed', { text: 'x'.repeat(5_000), of: [{}] }],
    ['a Date', { at: new Date(5), of: [new Map([['a', [1]]])] }],
    ['many fields', Object.fromEntries(Array.from({ length: 300 }, (_, id) => [`f${id}`, [id]]))],
    ['text', 'text'],
    ['null', null],
  ])('share nothing: %s', (_, value) => {
    const { value: first, again } = copyOf(encoded(value));
    const copies = [first, ...Array.from({ length: 5 }, again), againOf(encoded(value))()];
    for (const copy of copies) {
      expect(copy).toEqual(value);
      if (typeof copy === 'object' && copy !== null) Object.assign(copy, { of: 'changed', f1: 'changed' });
    }
    const objects = copies.filter((copy) => typeof copy === 'object' && copy !== null);
    expect(new Set(objects).size).toBe(objects.length);
    expect(again()).toEqual(value);
  });
});
