import type { ModulesContainer } from '@nestjs/core';
import { cacheableOperationOf, type CacheableOperation } from '../cache/cacheable.decorator.ts';
import type { CacheEngine } from '../cache/cache-engine.ts';
import type { ResolvedCacheOptions } from '../cache/cache.options.ts';
import { isRoute } from '../common/route-metadata.ts';
import { type WrappedMethod, wrappedMethodsOf } from '../common/wrapped-methods.ts';
import { responsePrefixOf } from '../http-cache/route-policies.ts';

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

/**
 * What the keys of a part have in common: an epoch, by which all are invalidated at once; what they begin with; that
 * they belong to no other part; or nothing at all, when a function makes them.
 */
export type Reach = 'epoch' | 'prefix' | 'rest' | 'nothing';

/** What belongs to no named part. */
export const UNNAMED = 'default';
const NAMELESS = new Set([UNNAMED, 'other']);
/** Responses of upstreams are counted together. */
const GATEWAY = { name: 'gateway', prefix: 'http:1:gateway.' };

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
    const namespaces = names.map((name) => ({ name, prefix: this.#prefixOfUsed(name), ...this.#times({}) }));
    return [...declared, ...namespaces].sort((one, other) => one.name.localeCompare(other.name));
  }

  /** A namespace need not have been used by this instance. What belongs to none has nothing in common. */
  prefixOf(name: string): string {
    if (name === UNNAMED) return '';
    return this.all().find((entry) => entry.name === name)?.prefix ?? this.#prefixOfUsed(name);
  }

  /** How the keys of a part can be told from others. */
  reachOf(name: string): Reach {
    if (name === UNNAMED) return 'rest';
    const entry = this.all().find((each) => each.name === name);
    if (entry === undefined) return 'epoch';
    if (entry.prefix === '') return 'nothing';
    return entry.handler === undefined && name !== GATEWAY.name ? 'epoch' : 'prefix';
  }

  /** Tells the name that a key belongs to: the longest prefix wins. */
  matcher(): (key: string) => string {
    const named = this.all().filter(({ prefix }) => prefix !== '');
    const owners = named.sort((one, other) => other.prefix.length - one.prefix.length);
    return (key) => owners.find(({ prefix }) => key.startsWith(prefix))?.name ?? UNNAMED;
  }

  #find(): CatalogEntry[] {
    return wrappedMethodsOf(this.modules).flatMap((wrapped) => {
      const operation = cacheableOperationOf(wrapped.method);
      if (operation === undefined) return [];
      const { name: handler } = wrapped;
      const name = operation.read.name ?? handler;
      return [{ name, prefix: prefixOf(operation, wrapped), handler, ...this.#times(operation.read) }];
    });
  }

  #prefixOfUsed(name: string): string {
    return name === GATEWAY.name ? GATEWAY.prefix : name + this.separator;
  }

  #times({ ttl, grace }: CacheableOperation['read']): { ttl: string; grace: string } {
    return { ttl: ttl ?? inWords(this.options.ttlMs), grace: grace ?? inWords(this.options.graceMs) };
  }
}

/** What of a key is the same in all calls. */
function prefixOf({ key }: CacheableOperation, { name, prototype, property, method }: WrappedMethod): string {
  switch (key.kind) {
    case 'template':
      return key.template.source.split('{')[0] ?? '';
    case 'function':
      return '';
    default:
      return isRoute(method) ? responsePrefixOf(prototype.constructor, method, property) : `${name}:`;
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
