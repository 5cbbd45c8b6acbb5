import { InvalidOptionsError } from './errors.ts';
import type { Rule, Section } from './option-rules.ts';
import { nearest } from './nearest.ts';

/** What a section's rules make of the options given: resolved values under their resolved names. */
export type ValuesOf<S> = { readonly [K in keyof S as ResolvedName<S, K>]?: ValueOf<S[K]> };
type ResolvedName<S, K extends keyof S> = S[K] extends { readonly as: infer N extends string } ? N : K;
type ValueOf<R> =
  R extends Rule<infer T>
    ? T | (R extends { readonly section: infer S extends Section } ? ValuesOf<S> : never)
    : ValuesOf<R>;

type Values = Record<string, unknown>;

/**
 * Reads options by their rules. What is wrong goes to `faults`, one line each, so that a start-up error can name
 * everything at once; a faulty option is left out of the result.
 */
export function readOptions<S extends Section>(given: unknown, rules: S, faults: string[], path = ''): ValuesOf<S> {
  return readSection(given, rules, faults, path) as ValuesOf<S>;
}

/**
 * For who spreads options before reading them: a list, null or `true` would pass for options that say nothing.
 * @throws InvalidOptionsError
 */
export function assertOptions(given: unknown, subject: string): void {
  if (!isOptionsObject(given)) throw new InvalidOptionsError(subject, [noObject(given)]);
}

function readSection(given: unknown, rules: Section, faults: string[], path: string): Values {
  const values: Values = {};
  if (!isOptionsObject(given)) {
    faults.push(noObject(given, path));
    return values;
  }
  faults.push(...unknownOptions(given, rules, path));
  for (const [option, node] of Object.entries(rules)) {
    if (given[option] === undefined) continue;
    const value = readNode(given[option], node, faults, join(path, option));
    if (value !== undefined) values[isRule(node) ? (node.as ?? option) : option] = value;
  }
  return values;
}

function readNode(given: unknown, node: Rule | Section, faults: string[], path: string): unknown {
  if (!isRule(node)) return readSection(given, node, faults, path);
  const value = node.read(given);
  if (value !== undefined) return value;
  if (node.section !== undefined && isOptionsObject(given)) return readSection(given, node.section, faults, path);
  faults.push(`${path}: must be ${allowedBy(node)}; received ${received(given, node)}`);
  return undefined;
}

/** The rule that stands at a path such as `cache.l1.ttl`. */
export function ruleAt(rules: Section, path: string): Rule {
  let node: Rule | Section | undefined = rules;
  for (const option of path.split('.')) node = (isRule(node) ? node.section : node)?.[option] ?? {};
  if (isRule(node)) return node;
  throw new Error(`No rule for option ${path}`);
}

const allowedBy = (rule: Rule): string => (rule.section === undefined ? rule.allowed : `${rule.allowed}, or an object`);

function unknownOptions(given: object, rules: Section, path: string): string[] {
  return Object.keys(given)
    .filter((option) => !Object.hasOwn(rules, option))
    .map((option) => {
      const meant = nearest(option, optionNames(rules));
      const hint = meant === undefined ? '' : `; did you mean '${meant}'?`;
      return `${join(path, shown(option))}: unknown option${hint}`;
    });
}

/** The names a user may have meant: those of the section, and those one level below. */
const optionNames = (rules: Section): string[] => [
  ...Object.keys(rules),
  ...Object.entries(rules).flatMap(([option, node]) =>
    Object.keys((isRule(node) ? node.section : node) ?? {}).map((inner) => `${option}.${inner}`),
  ),
];

/**
 * What was received, fit for an error message or a log: never a secret, never the inside of an object, nothing that
 * a terminal would act on. Text with `@` or `?` may be a URL that carries a password.
 */
export function received(value: unknown, { isSecret = false }: Partial<Rule> = {}): string {
  if (isSecret) return '***';
  if (typeof value === 'string') return /.[@?]/s.test(value) ? '***' : `'${shown(value)}'`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 60)).slice(1, -1);

const noObject = (given: unknown, path = ''): string =>
  `${path || 'options'}: must be an object; received ${received(given)}`;

const isOptionsObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isRule = (node: Rule | Section | undefined): node is Rule => typeof node?.read === 'function';

const join = (path: string, option: string): string => (path === '' ? option : `${path}.${option}`);
