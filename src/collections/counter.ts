import { InvalidOptionsError, WrongTypeError } from '../common/errors.ts';

/** What a server takes for a whole number: no sign before a positive one, no leading zeros, no spaces. */
const WHOLE_NUMBER = /^(?:0|-?[1-9]\d*)$/;

/**
 * The sum of a counter, as its text says, and an amount; a counter that does not exist yet is 0.
 * @throws WrongTypeError when the text is no whole number
 * @throws InvalidOptionsError when the counter is, or would be, where whole numbers are no longer exact
 */
export function addToCounter(text: string | undefined, amount: number): number {
  if (text !== undefined && !WHOLE_NUMBER.test(text)) throw new WrongTypeError('The key holds text, not a counter');
  const current = Number(text ?? 0);
  const result = current + amount;
  if (!Number.isSafeInteger(current) || !Number.isSafeInteger(result)) throw counterOverflow(amount);
  return result;
}

export const counterOverflow = (amount: number): InvalidOptionsError =>
  new InvalidOptionsError('amount', [
    `the counter must stay within ±(2^53 - 1), where whole numbers are exact; received ${amount}`,
  ]);
