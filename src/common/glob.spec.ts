import fc from 'fast-check';
import { escapeGlob, globMatcher } from './glob.ts';

/** Answers of `SCAN MATCH` of Redis 7.0.15; test/integration/glob.spec.ts asks a server for many more. */
const ANSWERS: readonly (readonly [glob: string, matching: readonly string[], other: readonly string[]])[] = [
  ['a*c', ['ac', 'abc', 'abbc', 'a*c', 'acc'], ['abcd', 'bac', 'a']],
  ['a**b*', ['ab', 'axb', 'axbx'], ['a', 'ba']],
  ['?', ['a', '?'], ['ab', 'é']],
  ['??', ['ab', 'é'], ['a', 'abc']],
  ['\\*', ['*'], ['a', '\\*']],
  ['a\\', ['a\\'], ['a', 'ab']],
  ['\\\\x', ['\\x'], ['x', '\\\\x']],
  ['[abc]', ['a', 'b', 'c'], ['d', 'ab', '[abc]']],
  ['[a-c]x', ['ax', 'cx'], ['dx', '-x']],
  ['[c-a]', ['a', 'b', 'c'], ['d', '-']],
  ['[^a-c]', ['d', '^'], ['a', 'c', 'dd']],
  ['[a^]', ['a', '^'], ['b']],
  ['[]a', [], ['a', ']a', '[]a']],
  ['[^]a', ['xa', ']a'], ['a']],
  ['[\\]]', [']'], ['\\', '\\]']],
  ['[\\^a]', ['^', 'a'], ['b']],
  ['[a-]', ['a', ']', '_'], ['-', 'b']],
  ['[abc', ['a', 'c'], ['d', '[abc']],
  ['[', [], ['[', 'a']],
  ['x[^', ['xa', 'x^'], ['x', 'xab']],
  ['[a\\', ['a', '\\'], ['b']],
  ['[é]', [], ['é', 'e']],
  ['é*', ['é', 'éa'], ['e', 'aé']],
  ['{a,b}', ['{a,b}'], ['a', 'b']],
  ['a.c', ['a.c'], ['abc']],
];

describe('globMatcher', () => {
  it.each(ANSWERS)('answers %j as Redis does', (glob, matching, other) => {
    const matches = globMatcher(glob);
    expect(matching.filter((text) => !matches(text))).toEqual([]);
    expect(other.filter(matches)).toEqual([]);
  });

  it('finds every text by its escaped form, and nothing else', () => {
    const awkward = fc.string({ unit: fc.constantFrom('a', '*', '?', '[', ']', '\\', '^', '-', 'é') });
    fc.assert(
      fc.property(awkward, awkward, (one, other) => {
        expect(globMatcher(escapeGlob(one))(other)).toBe(one === other);
      }),
    );
  });

  it('needs time in proportion to the text, however many stars there are', () => {
    const stepsOf = (stars: number, length: number) => {
      const text = countReads('a'.repeat(length));
      expect(globMatcher(`${'a*'.repeat(stars)}b`)(text as unknown as string)).toBe(false);
      return text.reads;
    };
    expect(stepsOf(4, 5_000)).toBeLessThan(15_000);
    expect(stepsOf(30, 5_000)).toBeLessThan(15_000);
  });
});

/** Text that counts how often a character of it is looked at. */
function countReads(text: string) {
  return {
    reads: 0,
    length: text.length,
    charCodeAt(index: number) {
      this.reads++;
      return text.charCodeAt(index);
    },
    toString: () => text,
  };
}
