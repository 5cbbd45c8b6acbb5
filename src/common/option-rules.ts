import { parseBytes } from './bytes.ts';
import { type Duration, parseDuration } from './duration.ts';

/** What one option allows, and how its value is read into the form the library works with. */
export interface Rule<T = unknown> {
  /** Completes “must be …”. */
  readonly allowed: string;
  /** The value in its resolved form, or undefined when it is not allowed. */
  readonly read: (value: unknown) => T | undefined;
  /** Name of the resolved option, where it differs: it carries the unit. */
  readonly as?: string;
  /** The value is a secret: no message ever shows it. */
  readonly isSecret?: boolean;
  /** Options that may be given instead of one value: `tls: true` or `tls: { ca }`. */
  readonly section?: Section;
}

/** The options of one capability: each a rule, or a section of its own. */
export interface Section {
  readonly [option: string]: Rule | Section;
}

/** A section that has a rule for every option of `O`, so that a new option cannot be forgotten. */
export type RulesOf<O> = { readonly [K in keyof O]-?: Rule | RulesOf<NonNullable<O[K]>> };

/** A rule of its own; `read` answers undefined for what is not allowed. */
export const rule = <T>(allowed: string, read: (value: unknown) => T | undefined): Rule<T> => ({ allowed, read });

export const flag = rule('true or false', (value) => (typeof value === 'boolean' ? value : undefined));

export const number = (min: number, max: number) =>
  rule(`a number from ${min} to ${max}`, (value) => (isNumber(value) && isWithin(value, min, max) ? value : undefined));

export const integer = (min: number, max: number) =>
  rule(`a whole number from ${min} to ${max}`, (value) =>
    Number.isSafeInteger(value) && isWithin(value as number, min, max) ? (value as number) : undefined,
  );

/** Reads a `Duration` into milliseconds. */
export const duration = (min: Duration, max: Duration) =>
  rule(`a duration from '${min}' to '${max}'`, (value) => {
    const ms = typeof value === 'string' ? parseDuration(value) : undefined;
    return ms !== undefined && isWithin(ms, parseDuration(min), parseDuration(max)) ? ms : undefined;
  });

/** Reads a `Duration`, or a bare number of milliseconds where the contract allows one, into milliseconds. */
export const durationOrMs = (min: Duration, max: Duration) => {
  const text = duration(min, max);
  return rule(`${text.allowed}, or as many milliseconds`, (value) =>
    text.read(isNumber(value) ? `${Math.ceil(value)}ms` : value),
  );
};

/** Reads a number of bytes, or a text such as `'64mb'` (1 kb = 1024 bytes), into bytes. */
export const size = (min: string, max: string) =>
  rule(`a number of bytes, or a size such as '64mb', from '${min}' to '${max}'`, (value) => {
    const bytes = toBytes(value);
    return bytes !== undefined && isWithin(bytes, toBytes(min), toBytes(max)) ? bytes : undefined;
  });

const toBytes = (value: unknown): number | undefined =>
  typeof value === 'number' || typeof value === 'string' ? parseBytes(value) : undefined;

export const oneOf = <const T extends string>(...choices: readonly T[]) =>
  rule(`one of ${choices.map((choice) => `'${choice}'`).join(', ')}`, (value) =>
    choices.find((choice) => choice === value),
  );

/** A text; `allowed` says in words what `form` demands. */
export const text = (allowed: string, form: RegExp) =>
  rule(allowed, (value) => (typeof value === 'string' && form.test(value) ? value : undefined));

/** What it takes and gives cannot be checked: the caller says of which type it is. */
export const aFunction = <T>() =>
  rule<T>('a function', (value) => (typeof value === 'function' ? (value as T) : undefined));

/** The resolved option is called `name`. */
export const as = <const N extends string, R extends Rule>(name: N, renamed: R) => ({ ...renamed, as: name });

export const secret = <R extends Rule>(hidden: R) => ({ ...hidden, isSecret: true });

/** Either one value or a whole section. */
export const either = <R extends Rule, const S extends Section>(value: R, section: S) => ({ ...value, section });

const isNumber = (value: unknown): value is number => typeof value === 'number';

const isWithin = (value: number, min = -Infinity, max = Infinity): boolean => value >= min && value <= max;
