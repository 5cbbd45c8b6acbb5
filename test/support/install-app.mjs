import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The `node_modules` of an application in test/apps, installed from its lock file unless they already are. */
export function installApp(name) {
  const source = join(ROOT, 'test/apps', name);
  const target = join(ROOT, 'node_modules/.cache/nestjs-keep', name);
  if (!isInstalled(source, target)) {
    mkdirSync(target, { recursive: true });
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(source, file), join(target, file));
    execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: target, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return join(target, 'node_modules');
}

/** npm writes its own lock file into `node_modules` when everything is there. */
function isInstalled(source, target) {
  const [wanted, present] = [source, target].map((folder) => join(folder, 'package-lock.json'));
  const isComplete = existsSync(join(target, 'node_modules/.package-lock.json')) && existsSync(present);
  return isComplete && readFileSync(wanted, 'utf8') === readFileSync(present, 'utf8');
}
