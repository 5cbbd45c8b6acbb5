import type { Cluster, Redis } from 'ioredis';
import type { Duration } from '../common/duration.ts';
import { as, duration, either, flag, integer, rule, secret, text, type RulesOf } from '../common/option-rules.ts';
import { isHost, MAX_DATABASE, MAX_PORT, parseNodes, parseRedisUrl, type RedisNode } from './redis-address.ts';

export type { RedisNode } from './redis-address.ts';

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
  /** Database number; a cluster has only 0. @default 0 */
  readonly db?: number;
  /** Some nodes of a cluster (`'host:6379'` or host and port); `true`: the host or URL is one of them. @default false */
  readonly cluster?: boolean | { readonly nodes: readonly (RedisNode | string)[] };
  /** The sentinels that know where the primary is: `'host:26379'` or host and port. */
  readonly sentinels?: readonly (RedisNode | string)[];
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

const nodes = (defaultPort: number) =>
  rule(`a list of nodes, each 'host:port' or { host, port }`, (value) => parseNodes(value, defaultPort));

export const REDIS_RULES = {
  url: secret(
    rule('redis[s]://[user:password@]host[:port][/database], user and password percent-encoded', parseRedisUrl),
  ),
  host: rule('a host name or address, without port', (value) => (isHost(value) ? value : undefined)),
  port: integer(1, MAX_PORT),
  username: text('a text', /^/),
  password: secret(text('a text', /^/)),
  tls: either(flag, {
    ca: secret(text('a certificate in PEM form', /-----BEGIN CERTIFICATE-----/)),
    servername: text('a host name', /^\S+$/),
  }),
  db: integer(0, MAX_DATABASE),
  cluster: either(flag, { nodes: nodes(6379) }),
  sentinels: nodes(26_379),
  sentinelName: text('a name', /\S/),
  commandTimeout: as('commandTimeoutMs', duration('1ms', '1m')),
  connectTimeout: as('connectTimeoutMs', duration('1ms', '1m')),
  bootBudget: as('bootBudgetMs', duration('0ms', '5m')),
} satisfies RulesOf<RedisServerOptions>;

/** Recognised by what it can do, not by its class: the application may use another copy of ioredis. */
export function isRedisClient(value: unknown): value is Redis | Cluster {
  if (typeof value !== 'object' || value === null) return false;
  const { duplicate, sendCommand, status } = value as Partial<Record<string, unknown>>;
  return typeof duplicate === 'function' && typeof sendCommand === 'function' && typeof status === 'string';
}
