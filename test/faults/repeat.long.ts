import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** A fault test counts when it passes this often in a row. */
const TIMES = Number(process.env['KEEP_REPEAT'] ?? 20);
/** Only specs whose name holds this. */
const ONLY = process.env['KEEP_REPEAT_ONLY'] ?? '';
const ROUND_MS = 120_000;
const ROOT = join(__dirname, '../..');

const specs = readdirSync(__dirname).filter((file) => file.endsWith('.spec.ts') && file.includes(ONLY));

it.each(specs)(
  `%s passes ${TIMES} times`,
  (spec) => {
    const failures: string[] = [];
    for (let round = 1; round <= TIMES; round++) {
      const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
      const args = [jest, '--config', 'test/jest.config.mjs', '--runInBand', `test/faults/${spec}`];
      const { status, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', timeout: ROUND_MS });
      if (status !== 0) failures.push(`round ${round}: ${stderr.match(/^ {2}● .*$/gm)?.join('; ') ?? 'no result'}`);
    }
    expect(failures).toEqual([]);
  },
  TIMES * ROUND_MS,
);
