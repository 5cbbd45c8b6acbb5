import type { Duration } from '../common/duration.ts';
import type { Tracing } from '../common/tracing.ts';
import type { Factory } from './cache-factory.ts';
import { type CacheParts, CacheService, ROOT, type Scope, scopeWithin } from './cache.service.ts';
import type { GetOrSetOptions } from './get-or-set.options.ts';

/**
 * The cache with a span around each read and each factory. It takes the place of the plain one where somebody traces:
 * a hit in memory is too quick to ask whether somebody does.
 */
export class TracedCacheService extends CacheService {
  readonly #parts: CacheParts;
  readonly #tracing: Tracing;
  readonly #scope: Scope;

  constructor(parts: CacheParts, tracing: Tracing, scope: Scope = ROOT) {
    super(parts, scope);
    this.#parts = parts;
    this.#tracing = tracing;
    this.#scope = scope;
  }

  override get<T>(key: string): Promise<T | undefined> {
    return this.#tracing.read(this.#scope.name, () => super.get<T>(key));
  }

  override getOrSet<T>(key: string, ttl: number | Duration | GetOrSetOptions<T>, factory: Factory<T>): Promise<T> {
    const name = nameIn(ttl) ?? this.#scope.name;
    return this.#tracing.read(name, () =>
      super.getOrSet<T>(key, ttl, (context) => this.#tracing.load(name, () => factory(context))),
    );
  }

  override namespace(name: string): CacheService {
    return new TracedCacheService(this.#parts, this.#tracing, scopeWithin(this.#scope, name, this.#parts.separator));
  }
}

/** Options are checked later. */
function nameIn(ttl: unknown): string | undefined {
  const { name } = (ttl ?? {}) as { readonly name?: unknown };
  return typeof name === 'string' ? name : undefined;
}
