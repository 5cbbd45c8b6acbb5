import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppFolder, packTarball, ROOT, run, type Tarball } from '../support/packed.ts';

const PAPERS = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
const BUILT = /^dist\/(esm|cjs)\/.+\.(js|js\.map|d\.ts)$/;
const SLOW = 60_000;

describe('the tarball that is published', () => {
  const app = new AppFolder();
  let tarball: Tarball;
  const unpacked = (file: string): string => readFileSync(join(app.path, 'node_modules/nestjs-keep', file), 'utf8');
  const inDist = (format: string): string[] =>
    tarball.files
      .filter((file) => file.startsWith(`dist/${format}/`))
      .map((file) => file.slice(`dist/${format}/`.length));

  beforeAll(async () => {
    tarball = await packTarball(app.path);
    await app.unpack(tarball, []);
  }, SLOW);
  afterAll(() => app.remove());

  it('holds its papers, what was built, and nothing else', () => {
    const others = tarball.files.filter((file) => !BUILT.test(file) && file !== 'dist/cjs/package.json');
    expect(others.sort()).toEqual(PAPERS);
    expect(tarball.files.filter((file) => file.includes('.spec.'))).toEqual([]);
  });

  it('holds the same files in both formats', () => {
    expect(inDist('esm')).toContain('index.d.ts');
    expect(inDist('cjs').filter((file) => file !== 'package.json')).toEqual(inDist('esm'));
  });

  it('holds no path of the machine that built it', () => {
    expect(tarball.files.filter((file) => unpacked(file).includes(ROOT))).toEqual([]);
  });

  it('stays below a megabyte', () => {
    expect(tarball.bytes).toBeLessThan(1_000_000);
  });

  it('has nothing that publint complains about', () => expectSuccess('publint', '--strict'), SLOW);

  it('gives each way of importing it the types that fit', () => expectSuccess('attw', tarball.path), SLOW);
});

/** Runs a command of the repository; what it printed is in the failure. */
async function expectSuccess(command: string, ...args: string[]): Promise<void> {
  await expect(run(ROOT, join(ROOT, 'node_modules/.bin', command), ...args)).resolves.toEqual(expect.any(String));
}
