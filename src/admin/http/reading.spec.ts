import { AdminProblem } from '../admin.problem.ts';
import { keyIn, numberIn, readBody, readQuery, textOf } from './reading.ts';

const faultsOf = (run: () => unknown): readonly string[] => {
  try {
    run();
    return [];
  } catch (error) {
    return (error as AdminProblem).extra.errors ?? ['another error'];
  }
};

it('reads texts of the lengths that are allowed', () => {
  const rules = { name: textOf(2, 4) };
  for (const name of ['ab', 'abcd']) expect(readBody({ name }, rules)).toEqual({ name });
  for (const name of ['', 'a', 'abcde', 7, null, ['ab']]) {
    expect(faultsOf(() => readBody({ name }, rules))).toEqual([expect.stringContaining('2 to 4 characters')]);
  }
});

it('reads whole numbers out of a query, and nothing that only looks like one', () => {
  const rules = { limit: numberIn(1, 1_000) };
  for (const limit of [1, 1_000]) expect(readQuery({ limit: String(limit) }, rules)).toEqual({ limit });
  for (const limit of ['0', '1001', '', ' 5', '1e2', '0x10', '5.0', '+5', '-5', 5, ['5', '6']]) {
    expect(faultsOf(() => readQuery({ limit }, rules))).toHaveLength(1);
  }
});

it('names what is missing and what is not known, all at once', () => {
  const rules = { name: textOf(2, 4), other: textOf(1, 9) };
  expect(faultsOf(() => readBody({ nmae: 'ab' }, rules, ['name', 'other']))).toHaveLength(3);
  for (const nothing of [undefined, null, '']) expect(readBody(nothing, rules)).toEqual({});
});

it('reads keys that were encoded exactly so', () => {
  const encoded = (key: string) => Buffer.from(key).toString('base64url');
  for (const key of ['a', 'ünï:1', 'a/b?c']) expect(keyIn(encoded(key))).toBe(key);
  for (const wrong of ['', encoded(' '), 'not*base64', encoded('a') + '!', '_w']) {
    expect(() => keyIn(wrong)).toThrow(AdminProblem);
  }
});
