import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';

const RESULTS = new URL('../results/', import.meta.url);

/** How the cells of a column are written. */
const formats = {
  text: (value) => value ?? '',
  number: (value) => (Number.isFinite(value) ? rounded(value) : ''),
  ratio: (value) => (Number.isFinite(value) ? `${rounded(value)}×` : ''),
};

const rounded = (value) => {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
};

/** A table in Markdown. @param columns `[[key, heading, format]]` */
export function table(title, columns, rows) {
  const cells = rows.map((row) => columns.map(([key, , format = 'number'], at) => cell(row, key, format, at)));
  const widths = columns.map(([, heading], at) => Math.max(heading.length, ...cells.map((row) => row[at].length)));
  const line = (row) => `| ${row.map((text, at) => pad(text, widths[at], at === 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width, at) => '-'.repeat(width - (at === 0 ? 0 : 1)) + (at === 0 ? '' : ':')).join(' | ')} |`;
  const headings = line(columns.map(([, heading]) => heading));
  return ['', `### ${title}`, '', headings, rule, ...cells.map(line)].join('\n');
}

const cell = (row, key, format, at) =>
  row.error !== undefined && at === 1 ? `failed: ${row.error}` : formats[format](row[key]);

const pad = (text, width, isFirst) => (isFirst ? text.padEnd(width) : text.padStart(width));

/** One figure of the list to reach: `atMost` or `atLeast`. */
export function figure(what, measured, { atMost, atLeast, unit = '' }) {
  const isReached = atMost === undefined ? measured >= atLeast : measured <= atMost;
  const wanted = atMost === undefined ? `≥ ${atLeast}${unit}` : `≤ ${atMost}${unit}`;
  return { what, wanted, measured: `${rounded(measured)}${unit}`, reached: isReached ? 'yes' : 'no' };
}

export const figureTable = (figures) =>
  table(
    'Figures to reach',
    [
      ['what', 'figure', 'text'],
      ['wanted', 'to reach', 'text'],
      ['measured', 'measured', 'text'],
      ['reached', 'reached', 'text'],
    ],
    figures,
  );

export function environment(server) {
  const [{ model } = {}] = os.cpus();
  const load = os
    .loadavg()
    .map((average) => average.toFixed(1))
    .join(' ');
  return `${new Date().toISOString()}, node ${process.version}, server ${server ?? 'none'}, ${os.cpus().length} × ${model}, load ${load}`;
}

/** Keeps what was printed, and the numbers behind it. */
export function save(name, text, numbers) {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(new URL(`${name}.md`, RESULTS), text);
  writeFileSync(new URL(`${name}.json`, RESULTS), JSON.stringify(numbers, null, 1));
}
