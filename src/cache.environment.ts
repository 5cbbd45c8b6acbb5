import { readOptions, received, ruleAt, type ValuesOf } from './common/read-options.ts';
import type { Section } from './common/option-rules.ts';
import { VARIABLES, type Variable } from './cache.variables.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentOptions<S> {
  /** What the variables say, in the form options have in code. */
  readonly options: OptionTree;
  /** The same, read by the rules. */
  readonly values: ValuesOf<S>;
  /** The variable that gave an option, or both names the option has. */
  readonly nameOf: (option: string) => string;
}

export type OptionTree = Record<string, unknown>;

/** Reads the variables of the table; what is wrong goes to `faults`, under the name it was given by. */
export function readEnvironment<S extends Section>(
  environment: Environment,
  rules: S,
  faults: string[],
): EnvironmentOptions<S> {
  const options: OptionTree = {};
  const names = new Map<string, string>();
  for (const variable of VARIABLES) {
    const name = [variable.name, variable.alias ?? ''].find((candidate) => environment[candidate]);
    if (name === undefined) continue;
    const value = readVariable(variable, name, environment[name] ?? '', rules, faults);
    if (value === undefined) continue;
    names.set(variable.option, name);
    put(options, variable.option, value);
  }
  const values = readOptions(options, rules, faults);
  return { options, values, nameOf: (option) => names.get(option) ?? bothNames(option) };
}

/** What to call an option that is not set: it could be either. */
function bothNames(option: string): string {
  const variable = VARIABLES.find((candidate) => candidate.option === option);
  return variable === undefined ? option : `${option} (${variable.name})`;
}

function readVariable(variable: Variable, name: string, text: string, rules: Section, faults: string[]): unknown {
  const { describe, read } = variable.reading;
  const rule = ruleAt(rules, variable.option);
  const value = read(text);
  if (rule.read(value) !== undefined) return value;
  faults.push(`${name}: must be ${describe?.(rule.allowed) ?? rule.allowed}; received ${received(text, rule)}`);
  return undefined;
}

/** Puts a value at a path. What stands above as `false` stays switched off, `true` makes room for the details. */
function put(tree: OptionTree, path: string, value: unknown): void {
  const [head = '', ...rest] = path.split('.');
  if (rest.length === 0) {
    tree[head] = value;
  } else if (tree[head] !== false) {
    if (typeof tree[head] !== 'object') tree[head] = {};
    put(tree[head] as OptionTree, rest.join('.'), value);
  }
}
