import { spawnSync } from 'node:child_process';
import { findProgram } from './find-program.ts';

/** Runs Prometheus' own checker; what it says, and whether it was content. */
export function promtool(args: readonly string[], input = ''): { isContent: boolean; says: string } {
  const program = findProgram('find-promtool.mjs', 'findPromtool');
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
  return { isContent: status === 0, says: stdout + stderr };
}
