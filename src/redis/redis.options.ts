import type { Cluster, Redis } from 'ioredis';
import type { Duration } from '../common/duration.ts';

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export interface RedisTlsOptions {
  /** Certificate authority that signed the server's certificate (PEM), when it is not a public one. */
  readonly ca?: string;
  /** Name that the certificate must carry, when it differs from the host. */
  readonly servername?: string;
}

/** Where the server is and how long it may take; or an ioredis instance, which then stays the caller's to close. */
export type RedisOptions = RedisServerOptions | Redis | Cluster;

export interface RedisServerOptions {
  /** `redis://` or `rediss://` (TLS), with user and password if there are any. */
  readonly url?: string;
  /** @default 'localhost' */
  readonly host?: string;
  /** @default 6379 */
  readonly port?: number;
  /** ACL user. */
  readonly username?: string;
  readonly password?: string;
  /** Encrypts the connection; the certificate is always verified. @default false */
  readonly tls?: boolean | RedisTlsOptions;
  readonly cluster?: { readonly nodes: readonly RedisNode[] };
  readonly sentinels?: readonly RedisNode[];
  /** Name of the primary that the sentinels watch. */
  readonly sentinelName?: string;
  /** Deadline of one operation. @default '200ms' */
  readonly commandTimeout?: Duration;
  /** @default '1s' */
  readonly connectTimeout?: Duration;
  /** How long start-up waits for the server before it goes on without. @default '2s' */
  readonly bootBudget?: Duration;
}

export interface ResolvedRedisTimeouts {
  readonly commandTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly bootBudgetMs: number;
}

/** How to reach the server, with every default filled in. */
export type ResolvedRedisTarget =
  | { readonly kind: 'instance'; readonly client: Redis | Cluster }
  | {
      readonly kind: 'standalone' | 'cluster' | 'sentinel';
      /** One node when standalone, the seeds of a cluster, or the sentinels. */
      readonly nodes: readonly [RedisNode, ...RedisNode[]];
      readonly sentinelName?: string;
      readonly username?: string;
      readonly password?: string;
      /** Database number, standalone and sentinel only. */
      readonly db?: number;
      readonly tls?: RedisTlsOptions;
    };

export interface ResolvedRedisOptions extends ResolvedRedisTimeouts {
  readonly target: ResolvedRedisTarget;
}

export const REDIS_TIMEOUTS: ResolvedRedisTimeouts = {
  commandTimeoutMs: 200,
  connectTimeoutMs: 1_000,
  bootBudgetMs: 2_000,
};
