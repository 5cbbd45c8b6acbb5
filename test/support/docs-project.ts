import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const ROOT = join(__dirname, '../..');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const JEST = join(ROOT, 'node_modules/jest/bin/jest.js');
/** `expression; // → what it is`, as the pages show results. */
const SHOWN_RESULT = /^(\s*)(.+?);\s*\/\/ → (.+)$/gm;

/** What `nest new` writes, but for the imports that a page shows and does not use. */
const COMPILER_OPTIONS = {
  ...{ target: 'ES2023', module: 'nodenext', rootDir: '.', outDir: 'out', types: ['node', 'jest'], strict: true },
  ...{ experimentalDecorators: true, emitDecoratorMetadata: true, skipLibCheck: true, isolatedModules: true },
};

/** Imports the examples of a page, and starts and stops the applications among them. */
const RUNNER = `
require('reflect-metadata');
const { NestFactory } = require('@nestjs/core');
(async () => {
  for (const file of process.argv.slice(2)) {
    const { AppModule } = require(file);
    if (!AppModule) continue;
    const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'], abortOnError: false });
    await app.close();
  }
})().catch((error) => { console.error(error); process.exit(1); });
`;

type Environment = Readonly<Record<string, string>>;

export interface Run {
  readonly status: number | null;
  readonly output: string;
}

export interface Example {
  readonly page: string;
  /** From its first line, `// product.service.ts`, or numbered. */
  readonly file: string;
  readonly code: string;
}

/** A project that has the package installed, with the examples of the documentation as its source. */
export class DocsProject {
  readonly examples: Example[] = [];

  private constructor(private readonly directory: string) {}

  /** @param replacements what stands in a page for something that only the test knows */
  static create(pages: readonly string[], replacements: Environment = {}): DocsProject {
    const project = new DocsProject(mkdtempSync(join(tmpdir(), 'nestjs-keep-docs-')));
    project.write('package.json', JSON.stringify({ name: 'docs', private: true }));
    project.write('tsconfig.json', JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
    project.write('run.cjs', RUNNER);
    project.install();
    for (const page of pages) project.add(page, replacements);
    return project;
  }

  /** What the compiler has to say; nothing when all is well. */
  compile(): string {
    return this.node([TSC, '--pretty', 'false']).output;
  }

  /** Runs the compiled examples of a page in one process, but for tests and what never ends. */
  run(page: string, env: Environment = {}): Run {
    const files = this.examples.filter((example) => example.page === page).map(({ file }) => file);
    const compiled = files
      .filter((file) => !/(^main|\.spec)\.ts$/.test(file))
      .map((file) => join(this.directory, 'out', directoryOf(page), file.replace(/ts$/, 'js')));
    return this.node(['run.cjs', ...compiled], env);
  }

  /** Runs the examples of a page that are tests. */
  test(page: string): Run {
    this.write(
      'jest.config.mjs',
      `import base from ${JSON.stringify(join(ROOT, 'test/jest.config.mjs'))};
       const { globalSetup, modulePathIgnorePatterns, collectCoverageFrom, ...config } = base;
       export default { ...config, rootDir: ${JSON.stringify(this.directory)},
         testMatch: ['<rootDir>/${directoryOf(page)}/*.spec.ts'] };`,
    );
    return this.node([JEST, '--config', 'jest.config.mjs']);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  private add(page: string, replacements: Environment): void {
    mkdirSync(join(this.directory, directoryOf(page)));
    for (const [index, code] of codeBlocks(page, 'ts').entries()) {
      const file = /^\/\/ (\S+\.ts)\n/.exec(code)?.[1] ?? `example-${index + 1}.ts`;
      this.examples.push({ page, file, code });
      const replaced = Object.entries(replacements).reduce((text, [from, to]) => text.replaceAll(from, to), code);
      this.write(join(directoryOf(page), file), withChecks(replaced));
    }
  }

  private write(path: string, text: string): void {
    writeFileSync(join(this.directory, path), text);
  }

  /** Everything that this package develops with, and the package itself as `npm install` would link it. */
  private install(): void {
    const modules = join(this.directory, 'node_modules');
    mkdirSync(modules);
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
    symlinkSync(ROOT, join(modules, 'nestjs-keep'));
  }

  private node(args: readonly string[], env: Environment = {}): Run {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: this.directory,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], NO_COLOR: '1', ...env },
      timeout: 60_000,
    });
    return { status, output: stdout + stderr };
  }
}

/** The fenced blocks of a page in one language. */
export function codeBlocks(page: string, language: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const fence = new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm');
  return [...text.matchAll(fence)].map(([, code]) => code!);
}

const directoryOf = (page: string): string => basename(page, '.md');

/** Turns the results that an example shows into checks, on the same lines. */
function withChecks(code: string): string {
  const checked = code.replace(
    SHOWN_RESULT,
    (_, indent: string, expression: string, result: string) => `${indent}check(${expression}, ${result});`,
  );
  return checked === code ? code : `import { deepStrictEqual as check } from 'node:assert'; ${checked}`;
}
