import { isStoreFailure } from '../common/errors.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { RedisConnection } from '../redis/redis.connection.ts';
import type { CacheEngine } from './cache-engine.ts';
import type { StatsWindow, WindowStats } from './cache-windows.ts';

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
  /** Why it does not, without user and password; null while it does. */
  readonly degradedReason: string | null;
  /** Reads over the last minute, five minutes and hour. */
  readonly windows: Readonly<Record<StatsWindow, WindowStats>>;
}

/** The server's own figures, which count everything on it; in a cluster on all of its primaries that answer. */
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

export interface CacheStatsParts {
  readonly engine: CacheEngine;
  /** Undefined in memory mode. */
  readonly connection: RedisConnection | undefined;
  /** What holds the values of this process. */
  readonly memory: LocalStats['l1'];
}

/** Null when it does not answer. */
async function statsOf(connection: RedisConnection, shard: Shard): Promise<ServerStats | null> {
  try {
    const [keys, info] = await Promise.all([
      connection.executeOn(shard, 'stats.keys', (node) => node.dbsize()),
      connection.executeOn(shard, 'stats.memory', (node) => node.info('memory')),
    ]);
    return { keys, bytes: Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0) };
  } catch (error) {
    if (isStoreFailure(error)) return null;
    throw error;
  }
}

const added = (one: ServerStats, other: ServerStats): ServerStats => ({
  keys: one.keys + other.keys,
  bytes: one.bytes + other.bytes,
});

/** Reads what `getStats` shows. */
export class CacheStatsReader {
  constructor(private readonly parts: CacheStatsParts) {}

  local(): LocalStats {
    const { memory } = this.parts;
    const { windows, journal, outage } = this.parts.engine;
    const degradedSince = this.degradedSince(outage);
    const { entries, bytes } = memory;
    const [minute, fiveMinutes, hour] = [windows.over('1m'), windows.over('5m'), windows.over('1h')];
    return {
      mode: this.mode(),
      l1: { entries, bytes },
      journal: journal.size,
      degradedSince,
      degradedReason: degradedSince === null ? null : (this.parts.connection?.reason ?? null),
      windows: { '1m': minute, '5m': fiveMinutes, '1h': hour },
    };
  }

  async server(): Promise<ServerStats | null> {
    const { connection } = this.parts;
    if (connection === undefined) return null;
    const answers = await Promise.all(connection.shards.map((shard) => statsOf(connection, shard)));
    return answers.reduce((sum, one) => (sum && one ? added(sum, one) : (sum ?? one)), null);
  }

  /** A cluster that was never reached has no shards. */
  private degradedSince({ degradedSince }: CacheEngine['outage']): number | null {
    const { connection } = this.parts;
    if (connection === undefined || connection.state === 'healthy') return degradedSince;
    return degradedSince ?? connection.since;
  }

  private mode(): LocalStats['mode'] {
    const { connection } = this.parts;
    if (connection === undefined) return 'memory';
    return connection.state === 'healthy' ? 'server' : connection.state;
  }
}
