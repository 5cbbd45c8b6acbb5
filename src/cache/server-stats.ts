import { isStoreFailure } from '../common/errors.ts';
import type { RedisConnection } from '../redis/redis.connection.ts';
import type { LocalStats, ServerStats, StatsSource } from './cache-stats.ts';

/** The figures of server mode. */
export class ServerStatsSource implements StatsSource {
  private degradedSince: number | null;

  constructor(private readonly connection: RedisConnection) {
    this.degradedSince = connection.isAvailable ? null : Date.now();
    connection.onStateChange((state) => (this.degradedSince = state === 'available' ? null : Date.now()));
  }

  local(): LocalStats {
    const mode = this.degradedSince === null ? 'server' : 'degraded';
    return { mode, l1: { entries: 0, bytes: 0 }, journal: 0, degradedSince: this.degradedSince };
  }

  async server(): Promise<ServerStats | null> {
    try {
      const [keys, info] = await Promise.all([
        this.connection.execute('stats.keys', (client) => client.dbsize()),
        this.connection.execute('stats.memory', (client) => client.info('memory')),
      ]);
      return { keys, bytes: Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0) };
    } catch (error) {
      if (isStoreFailure(error)) return null;
      throw error;
    }
  }
}
