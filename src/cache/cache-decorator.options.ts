import type { Duration } from '../common/duration.ts';
import { aFunction, rule } from '../common/option-rules.ts';
import type { CallFunction, NamesOption } from './cache-key.ts';

const only = <T>(allowed: string, accepts: (value: unknown) => boolean) =>
  rule(allowed, (value) => (accepts(value) ? (value as T) : undefined));

const isText = (value: unknown): boolean => typeof value === 'string' && value.trim() !== '';
const isFunction = (value: unknown): boolean => typeof value === 'function';
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

export const callFunction = aFunction<CallFunction<unknown>>();
export const text = only<string>('a text that is not blank', isText);
export const keyOption = only<string | CallFunction<string>>(
  'a text that is not blank, or a function',
  (value) => isText(value) || isFunction(value),
);
export const namesOption = only<NamesOption>(
  'a text, a list of texts or a function',
  (value) => isText(value) || isTexts(value) || isFunction(value),
);

/** What the short forms `@Cacheable(30)` (seconds) and `@Cacheable('30s')` stand for. */
export const optionsOf = <O extends object>(given: number | Duration | O): O | { readonly ttl: Duration } => {
  if (typeof given === 'number') return { ttl: `${given}s` };
  return typeof given === 'string' ? { ttl: given } : given;
};
