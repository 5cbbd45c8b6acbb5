/** What the cache holds and in which state it is. */
export interface CacheStats {
  /** `memory`: no server is configured; `degraded`: one is, and does not answer. */
  readonly mode: 'memory' | 'server' | 'degraded' | 'recovering';
  readonly tiers: {
    /** This process's memory. */
    readonly l1: { readonly entries: number; readonly bytes: number };
    /** The server's own figures, which count everything on it; null without a server that answers. */
    readonly l2: { readonly keys: number; readonly bytes: number } | null;
  };
  /** Invalidations that the server has not seen yet. */
  readonly journal: number;
  /** Since when the server does not answer, in milliseconds since the epoch. */
  readonly degradedSince: number | null;
}

/** Reads what `getStats` shows; each mode has its own way. */
export type StatsReader = () => Promise<CacheStats>;
