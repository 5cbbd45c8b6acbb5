import type { GetOrSetOptions } from './get-or-set.options.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

type Given = GetOrSetOptions<never>;

/** Options as some call gave them, its tags left out, and what they meant. */
export interface Known {
  readonly given: Given;
  /** How many there were: one more may be a misspelt one. */
  readonly count: number;
  readonly resolved: ResolvedReadOptions;
}

/** Different options under one TTL, and TTLs; a program has a handful of each. */
const MAX_ALIKE = 16;
const MAX_TTLS = 1_000;

/**
 * Remembers what options meant. Most callers write them down where they call, so each call brings an object of its own
 * that says the same: they are found by what they say. Tags are left out, as they often differ from call to call.
 */
export class RememberedOptions {
  private readonly byTtl = new Map<unknown, Known[]>();

  find(given: Given): ResolvedReadOptions | undefined {
    const alike = this.byTtl.get(given.ttl);
    if (alike === undefined) return undefined;
    for (const known of alike) if (isSame(given, known.given) && countOf(given) === known.count) return known.resolved;
    return undefined;
  }

  remember(given: Given, resolved: ResolvedReadOptions): void {
    const alike = this.byTtl.get(given.ttl) ?? [];
    if (alike.length === MAX_ALIKE) alike.shift();
    alike.push({ given: { ...given }, count: countOf(given), resolved });
    if (this.byTtl.size >= MAX_TTLS) this.byTtl.clear();
    this.byTtl.set(given.ttl, alike);
  }
}

/** Field by field: a loop over names would take longer than the whole hit that this is part of. */
const isSame = (some: Given, other: Given): boolean =>
  some.grace === other.grace &&
  some.staleWhileRevalidate === other.staleWhileRevalidate &&
  some.softTimeout === other.softTimeout &&
  some.hardTimeout === other.hardTimeout &&
  some.earlyRefresh === other.earlyRefresh &&
  some.jitter === other.jitter &&
  some.cacheNull === other.cacheNull &&
  some.coalesce === other.coalesce &&
  some.read === other.read &&
  some.tier === other.tier &&
  some.schema === other.schema &&
  some.name === other.name;

function countOf(given: Given): number {
  let count = 0;
  // Faster than Object.keys; what a prototype adds does no harm but to be resolved anew.
  for (const name in given) if (name !== 'tags') count++;
  return count;
}
