import fc from 'fast-check';
import { Deque } from './deque.ts';

/** Each change of a deque, and the same change of an array. */
const CHANGES = {
  pushLast: (array: number[], item: number) => void array.push(item),
  pushFirst: (array: number[], item: number) => void array.unshift(item),
  popLast: (array: number[]) => array.pop(),
  popFirst: (array: number[]) => array.shift(),
} as const;

const step = fc.record({
  change: fc.constantFrom('pushLast', 'pushLast', 'pushFirst', 'pushFirst', 'popLast', 'popFirst'),
  times: fc.integer({ min: 1, max: 12 }),
});

describe('Deque', () => {
  it('behaves as an array that is changed at both ends', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50, size: 'max' }), (steps) => {
        const deque = new Deque<number>();
        const array: number[] = [];
        let item = 0;
        for (const { change, times } of steps) {
          for (let i = 0; i < times; i++) {
            item++;
            expect([change, deque[change](item)]).toEqual([change, CHANGES[change](array, item)]);
          }
          expect([deque.length, deque.slice(0, deque.length)]).toEqual([array.length, array]);
        }
      }),
    );
  });

  it('gives any part of itself', () => {
    const deque = new Deque<number>();
    for (let i = 5; i < 10; i++) deque.pushLast(i);
    for (let i = 4; i >= 0; i--) deque.pushFirst(i);
    expect([deque.slice(0, 3), deque.slice(4, 7), deque.slice(7, 7)]).toEqual([[0, 1, 2], [4, 5, 6], []]);
  });
});
