import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** Has a module of this folder find or fetch a program, in a process of its own: Jest cannot import `.mjs` files. */
export function findProgram(file: string, find: string): string {
  const script = `import(${JSON.stringify(join(__dirname, file))}).then((module) => console.log(module.${find}()))`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--eval', script], { encoding: 'utf8' });
  if (status !== 0) throw new Error(/Error: (.*)/.exec(stderr)?.[1] ?? stderr);
  return stdout.trim();
}
