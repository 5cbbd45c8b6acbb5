import { join } from 'node:path';
import { APP_OUTPUT, appSource, compilerOptions, type Platform } from '../support/app-source.ts';
import { AppFolder, optionalPeers, packTarball, requiredPackages, ROOT } from '../support/packed.ts';

const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const BESIDE = ['@nestjs/platform-express', '@nestjs/platform-fastify', '@types/node'];
const SLOW = 90_000;

describe('the package, unpacked beside nothing but its required peers', () => {
  const app = new AppFolder();
  const json = async (...args: string[]): Promise<unknown> => JSON.parse(await app.node(...args));

  beforeAll(async () => app.unpack(await packTarball(app.path), [...requiredPackages, ...BESIDE]), SLOW);
  afterAll(() => app.remove());

  it.each<[type: string, platform: Platform]>([
    ['commonjs', 'express'],
    ['module', 'fastify'],
  ])(
    'type-checks and runs in a %s application on %s',
    async (type, platform) => {
      app.write({
        'package.json': { type },
        'tsconfig.json': { compilerOptions: { ...compilerOptions, module: 'nodenext' }, files: ['main.ts'] },
        'main.ts': appSource(platform),
      });
      await app.node(TSC);
      await expect(json('dist/main.js')).resolves.toEqual(APP_OUTPUT);
    },
    SLOW,
  );

  it.each([
    ['imported first', 'import, require'],
    ['required first', 'require, import'],
  ])('is one package per process, %s', async (_, order) => {
    app.write({
      'identity.mjs': `
        import { createRequire } from 'node:module';
        const require = createRequire(import.meta.url);
        const ways = { import: () => import('nestjs-keep'), require: () => require('nestjs-keep') };
        const classes = [];
        for (const way of ${JSON.stringify(order)}.split(', ')) classes.push((await ways[way]()).CacheService);
        console.log(JSON.stringify(classes[0] === classes[1]));`,
    });
    await expect(json('identity.mjs')).resolves.toBe(true);
  });

  it('is its CommonJS copy where Node cannot require an ES module', async () => {
    app.write({ 'where.cjs': `console.log(JSON.stringify(require.resolve('nestjs-keep')));` });
    await expect(json('where.cjs')).resolves.toMatch(/\/dist\/esm\/index\.js$/);
    await expect(json('--no-experimental-require-module', 'where.cjs')).resolves.toMatch(/\/dist\/cjs\/index\.js$/);
  });

  it.each([
    ['esm', 'cjs'],
    ['cjs', 'esm'],
  ])('recognises errors of another copy of itself: %s those of %s', async (own, other) => {
    app.write({ 'copies.mjs': COPIES });
    const recognised = (await json('copies.mjs', own, other)) as Record<string, string[]>;
    expect(Object.keys(recognised)).toContain('LockConflictError');
    for (const [name, predicates] of Object.entries(recognised)) {
      expect(predicates.sort()).toEqual(['instanceof', `is${name}`, 'isCacheInfrastructureError'].sort());
    }
  });

  it('leaves its figures to itself without the optional peers, and offers them to Prometheus with them', async () => {
    app.write({ 'metrics.mjs': METRICS });
    await expect(json('metrics.mjs')).resolves.toEqual({ sets: 1, scraped: null });
    app.link(optionalPeers);
    await expect(json('metrics.mjs')).resolves.toEqual({ sets: 1, scraped: 'cache_sets_total 1' });
  });
});

/** Prints which predicates of one copy say yes to each error of the other one. */
const COPIES = `
const [own, other] = await Promise.all(
  process.argv.slice(2).map((copy) => import('./node_modules/nestjs-keep/dist/' + copy + '/index.js')),
);
const isAbstract = (name) => name === 'CacheInfrastructureError';
const names = Object.keys(other).filter((name) => /^[A-Z].*Error$/.test(name) && !isAbstract(name));
const predicates = Object.keys(own).filter((name) => /^is[A-Z]/.test(name));
const recognised = names.map((name) => {
  const error = new other[name]('subject', ['fact']);
  if (own[name] === other[name]) throw new Error('these are not two copies');
  const saysYes = predicates.filter((predicate) => own[predicate](error));
  return [name, [...saysYes, ...(error instanceof own.CacheInfrastructureError ? ['instanceof'] : [])]];
});
console.log(JSON.stringify(Object.fromEntries(recognised)));
`;

/** Prints what was counted, and what a scrape says where there is something to scrape. */
const METRICS = `
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheModule, CacheService } from 'nestjs-keep';

const app = await NestFactory.createApplicationContext(CacheModule.forRoot(), { logger: ['error', 'warn'] });
const cache = app.get(CacheService);
await cache.set('greeting', 'hello');
const prometheus = await import('prom-client').catch(() => undefined);
const page = await prometheus?.register.metrics();
const scraped = page?.split('\\n').find((line) => line.startsWith('cache_sets_total')) ?? null;
console.log(JSON.stringify({ sets: cache.getMetrics().sets, scraped }));
await app.close();
`;
