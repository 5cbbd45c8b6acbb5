import type { ModulesContainer } from '@nestjs/core';
import type { CacheEngine } from '../cache/cache-engine.ts';
import type { ResolvedCacheOptions } from '../cache/cache.options.ts';
import { CacheCatalog } from './cache-catalog.ts';

/** Of an application without decorated methods that has used these namespaces. */
function catalogOf(names: readonly string[], times = { ttlMs: 90_000, graceMs: 0 }): CacheCatalog {
  const engine = { windows: { names: () => names } } as unknown as CacheEngine;
  const modules = new Map() as unknown as ModulesContainer;
  return new CacheCatalog(modules, engine, times as unknown as ResolvedCacheOptions, ':');
}

it('says how long values live in the largest unit that is exact', () => {
  for (const [ttlMs, graceMs, ttl, grace] of [
    [90_000, 0, '90s', '0ms'],
    [60_000, 1_500, '1m', '1500ms'],
    [7_200_000, 86_400_000, '2h', '1d'],
  ] as const) {
    expect(catalogOf(['shop'], { ttlMs, graceMs }).all()).toEqual([{ name: 'shop', prefix: 'shop:', ttl, grace }]);
  }
});

it('names what the gateway keeps, and nothing that has no name', () => {
  const catalog = catalogOf(['shop', 'gateway', 'default', 'other']);
  expect(catalog.all().map(({ name }) => name)).toEqual(['gateway', 'shop']);
  expect(catalog.matcher()('http:1:gateway.orders:get:http:h/1>/1')).toBe('gateway');
  expect(catalog.matcher()('gateway:a')).toBe('default');
  expect(catalog.prefixOf('gateway')).toBe('http:1:gateway.');
});

it('tells how far each name reaches', () => {
  const catalog = catalogOf(['shop', 'gateway']);
  const reaches = ['shop', 'never-used', 'gateway', 'default'].map((name) => catalog.reachOf(name));
  expect(reaches).toEqual(['epoch', 'epoch', 'prefix', 'rest']);
  expect(catalog.prefixOf('never-used')).toBe('never-used:');
  expect(catalog.prefixOf('default')).toBe('');
});
