import { RedisConnection } from '../../src/redis/redis.connection.ts';
import type { ConnectionLogger } from '../../src/redis/availability.log.ts';
import {
  REDIS_TIMEOUTS,
  type ResolvedRedisOptions,
  type ResolvedRedisTarget,
  type ResolvedRedisTimeouts,
} from '../../src/redis/redis.options.ts';
import type { ServerBreaker } from '../../src/redis/server-circuit.ts';
import { eventually } from './eventually.ts';
import { HOST } from './free-ports.ts';

/** A port of this machine, or everything about the target but the node at that port. */
export type TestTarget = number | ResolvedRedisTarget;

export interface TestConnectionOptions extends Partial<ResolvedRedisTimeouts> {
  readonly logger?: ConnectionLogger;
  readonly breaker?: ServerBreaker;
}

export function standalone(port: number, rest: { username?: string; password?: string; db?: number } = {}) {
  return { kind: 'standalone', nodes: [{ host: HOST, port }], ...rest } satisfies ResolvedRedisTarget;
}

/** What `RedisConnection` is built from, with the defaults of the package. */
export function redisOptions(target: TestTarget, timeouts: Partial<ResolvedRedisTimeouts> = {}): ResolvedRedisOptions {
  return { ...REDIS_TIMEOUTS, ...timeouts, target: typeof target === 'number' ? standalone(target) : target };
}

/** Connections of one spec file, closed together: `const connections = new Connections(); afterEach(connections.close)`. */
export class Connections {
  private opened: RedisConnection[] = [];

  /** A connection that has waited for its server as an application would at start-up. */
  readonly open = async (target: TestTarget, options: TestConnectionOptions = {}): Promise<RedisConnection> => {
    const connection = this.create(target, options);
    await connection.connect();
    return connection;
  };

  readonly create = (
    target: TestTarget,
    { logger, breaker, ...timeouts }: TestConnectionOptions = {},
  ): RedisConnection => {
    const connection = new RedisConnection(redisOptions(target, timeouts), logger, breaker);
    this.opened.push(connection);
    return connection;
  };

  readonly close = async (): Promise<void> => {
    const closing = this.opened.map((connection) => connection.close());
    this.opened = [];
    await Promise.all(closing);
  };
}

/** A deadline that a busy machine keeps. */
export const PATIENT_MS = 5_000;

/** A connection that its server has answered, however long it took to start; the caller closes it. */
export async function connectPatiently(
  target: ResolvedRedisTarget,
  commandTimeoutMs = PATIENT_MS,
): Promise<RedisConnection> {
  const connection = new RedisConnection(redisOptions(target, { commandTimeoutMs }));
  await connection.connect();
  await eventually(() => connection.isAvailable, { withinMs: 15_000 });
  return connection;
}
