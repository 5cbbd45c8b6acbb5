import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CODE_RULES, ENVIRONMENT_RULES } from '../../src/cache.module-rules.ts';
import { VARIABLES, type Variable } from '../../src/cache.variables.ts';
import type { Section } from '../../src/common/option-rules.ts';
import { ruleAt } from '../../src/common/read-options.ts';

const file = (path: string): string => readFileSync(join(__dirname, '../..', path), 'utf8');

/** Cells of every table row that begins with the name of a variable. */
const documentedRows = (): string[][] =>
  file('docs/configuration.md')
    .split('\n')
    .filter((line) => /^\| `[A-Z][A-Z0-9_]+` /.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

const code = (text = ''): string => (text === '' ? '' : `\`${text}\``);
const withoutCode = (text: string): string => text.replaceAll('`', '');

/** The option a variable stands for, where code can give it too. */
function optionInCode({ option }: Variable): string | undefined {
  try {
    ruleAt(CODE_RULES, option);
    return option;
  } catch {
    return undefined;
  }
}

/** Paths of all options that hold a value. */
const leavesOf = (rules: Section, path = ''): string[] =>
  Object.entries(rules).flatMap(([option, node]) => {
    const isRule = typeof node.read === 'function';
    const section = (isRule ? node.section : node) as Section | undefined;
    return [...(isRule ? [path + option] : []), ...(section ? leavesOf(section, `${path}${option}.`) : [])];
  });

function allowedBy({ option, reading }: Variable): string {
  const { allowed } = ruleAt(ENVIRONMENT_RULES, option);
  return reading.describe?.(allowed) ?? allowed;
}

describe('docs/configuration.md', () => {
  it('has a row for every variable: other name, default, meaning and option', () => {
    expect(documentedRows().map((cells) => cells.slice(0, 5))).toEqual(
      VARIABLES.map((variable) => [
        code(variable.name),
        code(variable.alias),
        code(variable.default),
        variable.meaning,
        code(optionInCode(variable)),
      ]),
    );
  });

  it('says what each variable allows', () => {
    expect(documentedRows().map((cells) => withoutCode(cells[5]!))).toEqual(VARIABLES.map(allowedBy));
  });

  it('lists the options that have no variable', () => {
    const listed = file('docs/configuration.md').matchAll(/^\| `([a-z]\w*\.[\w.]+)` /gim);
    const ofVariables: string[] = VARIABLES.map(({ option }) => option);
    const others = leavesOf(CODE_RULES).filter((option) => !ofVariables.includes(option) && option !== 'redis');
    expect([...listed].map(([, option]) => option).sort()).toEqual(others.sort());
  });
});

describe('.env.example', () => {
  const example = file('.env.example');

  it('has every variable with its default, commented out, so that a copy changes nothing', () => {
    const lines = example.split('\n').filter((line) => line !== '' && !line.startsWith('# '));
    expect(lines).toEqual(VARIABLES.map(({ name, default: byDefault = '' }) => `#${name}=${byDefault}`));
  });

  it.each(VARIABLES)('explains $name in the line above', ({ name, alias, meaning }) => {
    const alsoRead = alias === undefined ? '' : ` Also read: ${alias}.`;
    expect(example).toContain(`\n# ${withoutCode(meaning)}.${alsoRead}\n#${name}=`);
  });
});
