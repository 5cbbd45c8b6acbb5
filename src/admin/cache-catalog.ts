import type { ModulesContainer } from '@nestjs/core';
import { cacheableOperationOf, type CacheableOperation } from '../cache/cacheable.decorator.ts';
import type { CacheEngine } from '../cache/cache-engine.ts';
import type { ResolvedCacheOptions } from '../cache/cache.options.ts';
import { wrappedMethodsOf } from '../common/wrapped-methods.ts';

/** A part of the cache that has a name: a namespace, or what a decorated method caches. */
export interface CatalogEntry {
  readonly name: string;
  /** What all its keys begin with. */
  readonly prefix: string;
  /** `Class.method`. */
  readonly handler?: string;
  readonly ttl: string;
  readonly grace: string;
}

const NAMELESS = new Set(['default', 'other']);

/** The named parts of the cache: what is declared with decorators, and the namespaces that were used. */
export class CacheCatalog {
  #declared: readonly CatalogEntry[] | undefined;

  constructor(
    private readonly modules: ModulesContainer,
    private readonly engine: CacheEngine,
    private readonly options: ResolvedCacheOptions,
    private readonly separator: string,
  ) {}

  all(): CatalogEntry[] {
    const declared = (this.#declared ??= this.#find());
    const known = new Set(declared.map(({ name }) => name));
    const names = this.engine.windows.names().filter((name) => !known.has(name) && !NAMELESS.has(name));
    const namespaces = names.map((name) => ({ name, prefix: name + this.separator, ...this.#times({}) }));
    return [...declared, ...namespaces].sort((one, other) => one.name.localeCompare(other.name));
  }

  /** A namespace need not have been used by this instance. */
  prefixOf(name: string): string {
    return this.all().find((entry) => entry.name === name)?.prefix ?? name + this.separator;
  }

  /** Whether its keys have an epoch of their own, so that it can be invalidated at once. */
  isNamespace(name: string): boolean {
    return this.all().find((entry) => entry.name === name)?.handler === undefined;
  }

  /** Tells the name that a key belongs to: the longest prefix wins. */
  matcher(): (key: string) => string {
    const named = this.all().filter(({ prefix }) => prefix !== '');
    const owners = named.sort((one, other) => other.prefix.length - one.prefix.length);
    return (key) => owners.find(({ prefix }) => key.startsWith(prefix))?.name ?? 'default';
  }

  #find(): CatalogEntry[] {
    return wrappedMethodsOf(this.modules).flatMap(({ name: handler, method }) => {
      const operation = cacheableOperationOf(method);
      if (operation === undefined) return [];
      const name = operation.read.name ?? handler;
      return [{ name, prefix: prefixOf(operation, handler), handler, ...this.#times(operation.read) }];
    });
  }

  #times({ ttl, grace }: CacheableOperation['read']): { ttl: string; grace: string } {
    return { ttl: ttl ?? inWords(this.options.ttlMs), grace: grace ?? inWords(this.options.graceMs) };
  }
}

/** What of a key is the same in all calls. */
function prefixOf({ key }: CacheableOperation, handler: string): string {
  switch (key.kind) {
    case 'template':
      return key.template.source.split('{')[0] ?? '';
    case 'function':
      return '';
    default:
      return `${handler}:`;
  }
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

function inWords(ms: number): string {
  const [unit, size] = UNITS.find(([, each]) => ms >= each && ms % each === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}
