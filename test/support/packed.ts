import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export const ROOT = join(__dirname, '../..');

export interface Tarball {
  readonly path: string;
  readonly bytes: number;
  readonly files: readonly string[];
}

/** Packs what `npm test` has built, as it would be published. */
export async function packTarball(directory: string): Promise<Tarball> {
  const report = await run(ROOT, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', directory);
  const [packed] = JSON.parse(report) as [{ filename: string; size: number; files: { path: string }[] }];
  const { filename, size, files } = packed;
  return { path: join(directory, filename), bytes: size, files: files.map(({ path }) => path) };
}

export interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
  readonly exports: Readonly<Record<string, unknown>>;
}

export const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;

export const optionalPeers: readonly string[] = Object.keys(manifest.peerDependenciesMeta);

/** What the package may load: all that it declares and does not call optional. */
export const requiredPackages: readonly string[] = [
  ...Object.keys(manifest.dependencies),
  ...Object.keys(manifest.peerDependencies).filter((name) => !optionalPeers.includes(name)),
];

/** An application in a folder of its own, outside of the repository. */
export class AppFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'nestjs-keep-app-'));

  /** Creates or replaces files; an object becomes JSON. */
  write(files: Readonly<Record<string, string | object>>): void {
    for (const [name, content] of Object.entries(files)) {
      const file = join(this.path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
    }
  }

  /** Runs a program to its end and answers with what it printed. */
  run(program: string, ...args: string[]): Promise<string> {
    return run(this.path, program, ...args);
  }

  node(...args: string[]): Promise<string> {
    return this.run(process.execPath, ...args);
  }

  /** Puts the package where npm would, and makes packages of the repository visible, but no others. */
  async unpack({ path }: Tarball, packages: readonly string[]): Promise<void> {
    const folder = join(this.path, 'node_modules/nestjs-keep');
    mkdirSync(folder, { recursive: true });
    await this.run('tar', '-xzf', path, '-C', folder, '--strip-components=1');
    this.link(packages);
  }

  link(packages: readonly string[]): void {
    for (const name of packages) {
      const link = join(this.path, 'node_modules', name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(ROOT, 'node_modules', name), link, 'dir');
    }
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Runs a program to its end; what it printed is in the error when it fails. */
export async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { cwd, env: withoutOptions(process.env) });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error([`${program} ${args.join(' ')} failed:`, stdout, stderr].join('\n'), { cause: error });
  }
}

/** Whoever runs the tests may have a server in his environment; these applications start in memory mode. */
const withoutOptions = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(environment).filter(([name]) => !/^(VALKEY|REDIS|CACHE)_|^ENABLE_CACHE$/.test(name)),
  );
