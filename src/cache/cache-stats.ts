/** What this process knows of the cache without asking anybody. */
export interface LocalStats {
  /** `memory`: no server is configured; `degraded`: one is, and does not answer. */
  readonly mode: 'memory' | 'server' | 'degraded' | 'recovering';
  /** What this process holds. */
  readonly l1: { readonly entries: number; readonly bytes: number };
  /** Invalidations that the server has not seen yet. */
  readonly journal: number;
  /** Since when the server does not answer, in milliseconds since the epoch. */
  readonly degradedSince: number | null;
}

/** The server's own figures, which count everything on it. */
export interface ServerStats {
  readonly keys: number;
  readonly bytes: number;
}

/** What the cache holds and in which state it is. */
export interface CacheStats extends Omit<LocalStats, 'l1'> {
  readonly tiers: {
    readonly l1: LocalStats['l1'];
    /** Null without a server that answers. */
    readonly l2: ServerStats | null;
  };
}

/** Where the figures come from; each mode has its own way. */
export interface StatsSource {
  local(): LocalStats;
  server(): Promise<ServerStats | null>;
}
