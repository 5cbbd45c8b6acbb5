import type { CacheEntry } from './cache-entry.ts';

/** What is known of a key without its value. */
export interface KeyFacts {
  /** The full key. */
  readonly key: string;
  /** As Redis names it: `string`, `set`, `hash`, `list`, … */
  readonly type: string;
  /** -1 without expiry. */
  readonly pttlMs: number;
  /** Of the value as it is stored; null for what is no string. */
  readonly bytes: number | null;
  /** With an empty payload; undefined for what is not a cached value. */
  readonly entry: CacheEntry | undefined;
}

export interface FactsPage {
  readonly items: readonly KeyFacts[];
  /** For the next page; null on the last one. */
  readonly cursor: string | null;
  /** About how many keys were looked at for this page. */
  readonly scanned: number;
}

/** Looks at what is stored without reading values or changing anything. */
export interface CacheInspector {
  /**
   * A page of the keys that a full glob matches. It may be empty though others follow, and a key may be on several.
   * Whatever is there all the while is on one of them.
   * @throws InvalidOptionsError for a cursor that no page had; StoreUnavailableError, OutcomeUnknownError
   */
  page(pattern: string, cursor: string | undefined, limit: number): Promise<FactsPage>;
  /** Of those that are there. */
  inspect(keys: readonly string[]): Promise<readonly KeyFacts[]>;
}
