import { InvalidOptionsError } from '../common/errors.ts';
import type { Declaration } from '../common/wrap-method.ts';
import type { CallFunction, NamesOption } from './cache-key.ts';
import { type KeyContext, MethodTemplate } from './method-template.ts';

/** The keys, tags or patterns of each call of one decorated method. */
export interface CallNames {
  /** Whether they are known only after the method has run. */
  readonly needResult: boolean;
  /** The names themselves, where every call has the same. */
  readonly fixed: readonly string[] | undefined;
  readonly isFunction: boolean;
  /** None where a function makes the names. */
  readonly templates: readonly MethodTemplate[];
  /** @throws what `MethodTemplate.fill` throws, and InvalidOptionsError when a function returns no texts */
  readonly of: (context: KeyContext) => readonly string[];
}

/**
 * @param subject what an error is about: `Users.update: keys`
 * @param functionTakes what a function is called with
 * @throws InvalidOptionsError for a template that nothing could ever fill
 */
export function callNamesOf(
  given: NamesOption,
  declaration: Declaration,
  subject: string,
  functionTakes: 'arguments' | 'result and arguments',
): CallNames {
  if (typeof given === 'function') return namesByFunction(given, subject, functionTakes === 'result and arguments');
  const templates = listOf(given).map((source) => new MethodTemplate(source, declaration, subject));
  return {
    needResult: templates.some(({ needsResult }) => needsResult),
    fixed: templates.some(({ hasPlaceholders }) => hasPlaceholders) ? undefined : listOf(given),
    isFunction: false,
    templates,
    of: (context) => templates.map((template) => template.fill(context)),
  };
}

function namesByFunction(make: CallFunction<unknown>, subject: string, needResult: boolean): CallNames {
  const of = ({ args, result }: KeyContext): readonly string[] => {
    const names = listOf(make(...((needResult ? [result, ...args] : args) as never)));
    if (names.every(isText)) return names;
    throw new InvalidOptionsError(subject, ['the function must return texts that are not blank']);
  };
  return { needResult, fixed: undefined, isFunction: true, templates: [], of };
}

const listOf = <T>(given: T | readonly T[]): readonly T[] => (Array.isArray(given) ? (given as T[]) : [given as T]);
const isText = (name: unknown): name is string => typeof name === 'string' && name.trim() !== '';
