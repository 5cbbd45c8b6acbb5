import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { CacheStatsReader, LocalStats } from '../cache/cache-stats.ts';
import type { CacheWindows, StatsWindow, WindowStats } from '../cache/cache-windows.ts';
import { isStoreFailure } from '../common/errors.ts';
import { shownText } from '../common/shown-text.ts';
import { type Topology, topologyOf } from '../redis/redis.client.ts';
import type { RedisConnection } from '../redis/redis.connection.ts';
import type { CacheCatalog, CatalogEntry } from './cache-catalog.ts';

export interface ServerView {
  readonly state: 'none' | 'healthy' | 'degraded' | 'recovering';
  /** How long it took to answer; null when it did not. */
  readonly latencyMs: number | null;
  readonly version: string | null;
  readonly topology: 'none' | Topology;
}

export interface StatusView {
  readonly instance: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly mode: 'redis' | 'memory' | 'degraded';
  readonly redis: ServerView;
  readonly tiers: {
    readonly l1: LocalStats['l1'] & { readonly maxEntries: number };
    readonly l2: { readonly entries: number; readonly bytes: number } | null;
  };
  readonly journal: number;
  /** Since when it is in this mode, and why if that is an outage. */
  readonly since: string;
  readonly reason: string | null;
}

export interface StatsView extends Omit<WindowStats, 'hitRate' | 'failures' | 'bypassed' | 'errorRate'> {
  readonly bypass: number;
  readonly hitRatio: number;
  readonly errors: number;
  /** Held in this process's memory. */
  readonly bytes: number | null;
}

export interface NamespaceView extends Omit<CatalogEntry, 'prefix'> {
  readonly entriesL1: number;
  readonly hitRatio: number;
  readonly p99Ms: number;
}

export interface StatusParts {
  readonly instance: string;
  readonly version: string;
  readonly stats: CacheStatsReader;
  readonly windows: CacheWindows;
  readonly catalog: CacheCatalog;
  readonly maxEntries: number;
  /** What this process holds, as the application names it. */
  readonly held: () => Iterable<string>;
  readonly connection: RedisConnection | undefined;
}

/** Says on which machine to look; two applications of a process have different ones. */
export const instanceName = (): string => shownText(`${hostname()}@${randomBytes(2).toString('hex')}`);

const STARTED_AT = Date.now();

/** How things stand, in this instance. */
export class AdminStatus {
  #serverVersion: string | null = null;

  constructor(private readonly parts: StatusParts) {}

  async status(): Promise<StatusView> {
    const { instance, version, stats, maxEntries, connection } = this.parts;
    const { mode, l1, journal, degradedSince, degradedReason } = stats.local();
    const [redis, server] = await Promise.all([this.#server(), stats.server()]);
    return {
      instance,
      version,
      uptimeSeconds: Math.round(process.uptime()),
      mode: mode === 'memory' ? 'memory' : mode === 'server' ? 'redis' : 'degraded',
      redis,
      tiers: { l1: { ...l1, maxEntries }, l2: server && { entries: server.keys, bytes: server.bytes } },
      journal,
      since: new Date(degradedSince ?? connection?.since ?? STARTED_AT).toISOString(),
      reason: degradedReason === null ? null : shownText(degradedReason, 300),
    };
  }

  all(window: StatsWindow): StatsView {
    return viewOf(this.parts.windows.over(window), this.parts.stats.local().l1.bytes);
  }

  perNamespace(window: StatsWindow): (StatsView & { readonly name: string })[] {
    const { windows } = this.parts;
    return windows.names().map((name) => ({ name, ...viewOf(windows.over(window, name), null) }));
  }

  namespaces(window: StatsWindow = '5m'): NamespaceView[] {
    const { catalog, windows, held } = this.parts;
    const nameOf = catalog.matcher();
    const counts = new Map<string, number>();
    for (const key of held()) {
      const name = nameOf(key);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return catalog.all().map(({ name, handler, ttl, grace }) => {
      const { hitRate, p99Ms } = windows.over(window, name);
      const entriesL1 = counts.get(name) ?? 0;
      return { name, ...(handler !== undefined && { handler }), ttl, grace, entriesL1, hitRatio: hitRate, p99Ms };
    });
  }

  async #server(): Promise<ServerView> {
    const { connection } = this.parts;
    if (connection === undefined) return { state: 'none', latencyMs: null, version: null, topology: 'none' };
    const latencyMs = await this.#ping(connection);
    const topology = topologyOf(connection.client);
    return { state: connection.state, latencyMs, version: this.#serverVersion, topology };
  }

  async #ping(connection: RedisConnection): Promise<number | null> {
    try {
      this.#serverVersion ??= await versionOf(connection);
      const startedAt = performance.now();
      await connection.execute('admin.ping', (client) => client.ping());
      return Number((performance.now() - startedAt).toFixed(2));
    } catch (error) {
      if (isStoreFailure(error)) return null;
      throw error;
    }
  }
}

async function versionOf(connection: RedisConnection): Promise<string | null> {
  const info = await connection.execute('admin.info', (client) => client.info('server'));
  return /^(?:valkey|redis)_version:(\S+)/m.exec(info)?.[1] ?? null;
}

function viewOf(stats: WindowStats, bytes: number | null): StatsView {
  const { hits, misses, stale, loads, coalesced, throughput, p50Ms, p95Ms, p99Ms } = stats;
  const counts = { hits, misses, stale, bypass: stats.bypassed, errors: stats.failures, loads, coalesced };
  return { ...counts, hitRatio: stats.hitRate, throughput, p50Ms, p95Ms, p99Ms, bytes };
}
