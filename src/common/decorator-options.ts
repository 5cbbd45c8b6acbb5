import { InvalidOptionsError } from './errors.ts';
import type { Section } from './option-rules.ts';
import { readOptions, type ValuesOf } from './read-options.ts';
import type { Declaration } from './wrap-method.ts';

/**
 * Reads the options of a decorator.
 * @param needed options of which at least one must be given
 * @throws InvalidOptionsError naming the method and everything that is wrong
 */
export function checkOptions<S extends Section>(
  options: unknown,
  rules: S,
  decorator: string,
  { name }: Declaration,
  needed: readonly string[] = [],
): ValuesOf<S> {
  const faults: string[] = [];
  const values = readOptions(options, rules, faults);
  const given = options as Record<string, unknown> | null | undefined;
  const isEmpty = needed.length > 0 && needed.every((option) => given?.[option] === undefined);
  if (isEmpty) faults.push(`${needed.join(', ')}: give at least one`);
  if (faults.length > 0) throw new InvalidOptionsError(`${name}: wrong options of @${decorator}`, faults);
  return values;
}
