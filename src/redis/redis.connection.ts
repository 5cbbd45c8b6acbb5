import type { Cluster, Redis } from 'ioredis';
import type { KeyedScript } from './redis.script.ts';

export type RedisClient = Redis | Cluster;

/** The only door to the server. SKELETON: signatures are fixed, bodies come with the implementation. */
export class RedisConnection {
  /** The ioredis client, for what this package does not cover. */
  readonly client!: RedisClient;

  /** Whether a command would be sent now. */
  get isAvailable(): boolean {
    throw new Error('skeleton');
  }

  /** The server's clock in milliseconds since the epoch, as last learned from it. */
  now(): number {
    throw new Error('skeleton');
  }

  /** Opens the connection; resolves after the boot budget at the latest, with or without a server. */
  connect(): Promise<void> {
    throw new Error('skeleton');
  }

  /** Reads one string key. The reads of one event-loop turn travel as one MGET where the server allows it. A key of another type reads as null. */
  get(_key: string): Promise<Buffer | null> {
    throw new Error('skeleton');
  }

  /** Runs a keyed script; the calls of one turn travel together where the server allows it. */
  run<R>(_script: KeyedScript<R>, _key: string, ..._args: readonly (string | number | Buffer)[]): Promise<R> {
    throw new Error('skeleton');
  }

  /** Runs any command under the deadline and turns its failure into one of ours. */
  execute<T>(_operation: string, _command: (client: RedisClient) => Promise<T>): Promise<T> {
    throw new Error('skeleton');
  }

  /** Pages of full keys matching a glob, from every primary; keys may repeat. */
  scan(_pattern: string): AsyncIterable<readonly string[]> {
    throw new Error('skeleton');
  }

  /** A second connection to the same server(s), for subscriptions only. */
  openSubscriber(): Redis | Cluster {
    throw new Error('skeleton');
  }

  close(): Promise<void> {
    throw new Error('skeleton');
  }
}
