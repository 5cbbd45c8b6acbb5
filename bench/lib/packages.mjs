import { existsSync, readFileSync, symlinkSync } from 'node:fs';

const root = new URL('../../', import.meta.url);
const bench = new URL('../', import.meta.url);
const installed = new URL('node_modules/', bench);

const versionIn = (folder) => JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')).version;

/** Makes sure of everything that a run imports. @throws Error that says what to do */
export function preparePackages() {
  if (!existsSync(new URL('dist/esm/index.js', root))) throw new Error('The package is not built: run npm run build');
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', bench), 'utf8'));
  const isThere = ([name, version]) =>
    existsSync(new URL(`${name}/`, installed)) && versionIn(new URL(`${name}/`, installed)) === version;
  if (!Object.entries(dependencies).every(isThere)) {
    throw new Error('The packages to compare with are not installed: run npm ci --prefix bench first');
  }
  // As users import it. npm would install our development dependencies a second time behind a link of its own.
  const link = new URL('nestjs-keep', installed);
  if (!existsSync(link)) symlinkSync('../..', link, 'junction');
}

export const versionOf = (name) => versionIn(name === 'nestjs-keep' ? root : new URL(`${name}/`, installed));
