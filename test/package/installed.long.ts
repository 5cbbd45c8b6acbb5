import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { APP_OUTPUT, appSource, compilerOptions, type Platform } from '../support/app-source.ts';
import { AppFolder, packTarball, ROOT } from '../support/packed.ts';

const SLOW = 300_000;
const TSC = 'node_modules/typescript/bin/tsc';

/** An application of test/apps with the package installed by npm, as a user would. */
async function installInto(app: AppFolder, name: string, platform: Platform): Promise<void> {
  const read = (file: string): string => readFileSync(join(ROOT, 'test/apps', name, file), 'utf8');
  app.write({
    'package.json': read('package.json'),
    'package-lock.json': read('package-lock.json'),
    'main.ts': appSource(platform),
  });
  await app.run('npm', 'ci', '--ignore-scripts');
  const { path } = await packTarball(app.path);
  await app.run('npm', 'install', '--no-save', '--ignore-scripts', '--strict-peer-deps', path);
}

const compile = async (app: AppFolder, options: object): Promise<void> => {
  app.write({ 'tsconfig.json': { compilerOptions: { ...compilerOptions, ...options }, files: ['main.ts'] } });
  await app.node(TSC);
};

describe('the package, installed by npm into an empty Nest 11 application of CommonJS modules', () => {
  const app = new AppFolder();
  const json = async (...args: string[]): Promise<unknown> => JSON.parse(await app.node(...args));

  beforeAll(() => installInto(app, 'nest-11', 'express'), SLOW);
  afterAll(() => app.remove());

  it.each([
    ['commonjs', 'node10'],
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
  ])(
    'type-checks and runs with module %s',
    async (module, moduleResolution) => {
      await compile(app, { module, moduleResolution });
      await expect(json('dist/main.js')).resolves.toEqual(APP_OUTPUT);
    },
    SLOW,
  );

  it(
    'runs as CommonJS where Node cannot require an ES module',
    async () => {
      await compile(app, { module: 'node16' });
      await expect(json('--no-experimental-require-module', 'dist/main.js')).resolves.toEqual(APP_OUTPUT);
    },
    SLOW,
  );

  it(
    "works in the application's own Jest tests, which know nothing of ES modules",
    async () => {
      app.write({ 'app.spec.js': SPEC });
      const config = JSON.stringify({ rootDir: app.path, transform: {} });
      const jest = app.node(join(ROOT, 'node_modules/jest/bin/jest.js'), '--config', config);
      await expect(jest).resolves.toEqual(expect.any(String));
    },
    SLOW,
  );
});

describe('the package, installed by npm into an empty Nest 12 application of ES modules', () => {
  const app = new AppFolder();

  beforeAll(() => installInto(app, 'nest-12', 'fastify'), SLOW);
  afterAll(() => app.remove());

  it(
    'type-checks and runs',
    async () => {
      await compile(app, { module: 'nodenext' });
      expect(JSON.parse(await app.node('dist/main.js'))).toEqual(APP_OUTPUT);
    },
    SLOW,
  );
});

const SPEC = `
require('reflect-metadata');
const { NestFactory } = require('@nestjs/core');
const { CacheModule, CacheService } = require('nestjs-keep');

test('a value comes back', async () => {
  const app = await NestFactory.createApplicationContext(CacheModule.forRoot(), { logger: false });
  const cache = app.get(CacheService);
  await cache.set('greeting', { text: 'hello' });
  await expect(cache.get('greeting')).resolves.toEqual({ text: 'hello' });
  await app.close();
});
`;
