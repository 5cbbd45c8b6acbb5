#!/usr/bin/env node
/**
 * npm run bench -- [part of a scenario's name ...] [--quick] [--only=part of a contender's name] [--rounds=N]
 *
 * Prints each scenario's tables and the figures to reach, and keeps them in bench/results.
 */
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { preparePackages } from './lib/packages.mjs';

process.env.NODE_ENV = 'production';
setFlagsFromString('--expose-gc');
globalThis.gc = runInNewContext('gc');

const { values: flags, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, rounds: { type: 'string' } },
});

/** Our own and the raw limits are always there: figures need them. */
const isPicked = ({ name }) =>
  flags.only === undefined || /^(raw|no guard|nestjs-keep)/.test(name) || name.includes(flags.only);
const settings = {
  pick: (list) => list.filter(isPicked),
  ...(flags.quick && { isQuick: true, rounds: 3, sliceMs: 40 }),
  ...(flags.rounds && { rounds: Number(flags.rounds) }),
};

try {
  preparePackages();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
// Only now is there everything that these import.
const { environment, figureTable, save } = await import('./lib/report.mjs');
const { startServer } = await import('./lib/server.mjs');
const { versions } = await import('./adapters/index.mjs');

const scenarios = readdirSync(new URL('scenarios', import.meta.url)).map((file) => file.replace('.mjs', ''));
const chosen = scenarios.filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
if (chosen.length === 0) console.error(`No such scenario. There are:\n${scenarios.join('\n')}`);

const reached = [];
for (const name of chosen) {
  try {
    reached.push(...(await runScenario(name)));
  } catch (error) {
    console.error(`${name} failed:`, error);
    process.exitCode = 1;
  }
}
if (chosen.length > 1) {
  console.log(figureTable(reached));
  save('summary', figureTable(reached), reached);
}
process.exit();

async function runScenario(name) {
  const { run, title, needsServer } = await import(`./scenarios/${name}.mjs`);
  const server = needsServer ? await startServer() : undefined;
  const head = `\n## ${title}\n\n${environment(server?.version)}`;
  console.log(head);
  try {
    const { tables, figures, rows } = await run({ ...settings, server });
    const body = [...tables, ...(figures.length > 0 ? [figureTable(figures)] : [])].join('\n');
    console.log(body);
    save(name, `${head}\n${body}\n\n${versions().join(', ')}\n`, { figures, rows });
    return figures;
  } finally {
    await server?.stop();
  }
}
