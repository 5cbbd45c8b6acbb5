import type { RedisClient } from './redis.client.ts';
import type { KeyedScript, ScriptArgument } from './redis.script.ts';

/**
 * - `healthy`: commands are sent
 * - `degraded`: the server does not answer; commands are refused at once
 * - `recovering`: it answers again and is told what it missed; only the recovery steps may send commands
 */
export type AvailabilityState = 'healthy' | 'degraded' | 'recovering';

export interface AvailabilityChange {
  readonly from: AvailabilityState;
  readonly to: AvailabilityState;
  /** Holds neither user nor password. */
  readonly reason: string;
  /** When it changed, in milliseconds since the epoch. */
  readonly since: number;
}

/** Hears of each change once. */
export type AvailabilityListener = (change: AvailabilityChange) => void;

/** Keys that come and go together, because one primary answers for them: all of them, or some slots of a cluster. */
export interface Shard {
  /** Whether a command for one of its keys would be sent now. */
  readonly isAvailable: boolean;
  /** A hash tag that leads to it, for what has to be where its keys are; empty where all keys are in one place. */
  readonly place: string;
  holds(key: string): boolean;
}

export interface RecoveryContext {
  /** What was away; the others are used meanwhile. */
  readonly shard: Shard;
  /** The server is not the one that was there before, or was restarted: it may have lost its data. */
  readonly runIdChanged: boolean;
}

/**
 * What has to be done before ordinary commands are sent again: `connection.onRecovering(step)`. Steps run one after
 * the other, in the order in which they were added, and send their commands through `connection.duringRecovery`.
 * One that rejects takes the state back to `degraded`; all of them run again at the next attempt.
 */
export type RecoveryStep = (context: RecoveryContext) => Promise<void>;

/**
 * How commands reach the server. `RedisConnection` is the door for everybody, open while `healthy`;
 * `connection.duringRecovery` is the same door for recovery steps, open while `recovering`, too.
 */
export interface RedisDoor {
  /** Whether a command would be sent now, in a cluster to one of its primaries at least. */
  readonly isAvailable: boolean;
  /** Those that are known now; none before a cluster was reached. */
  readonly shards: readonly Shard[];
  /** Undefined while it is not known who answers for a key. */
  shardOf(key: string): Shard | undefined;
  /** The hash tags of every place that a shard may name, see `Shard.place`. */
  readonly places: readonly string[];
  /** Whether commands are executed in the order they are sent, whatever their keys. */
  readonly isOneNode: boolean;
  /** The server's clock in milliseconds since the epoch, as last learned from it; this machine's before that. */
  now(): number;
  /**
   * Reads one string key; a key of another type is null. The reads of one event-loop turn travel as one MGET where the
   * server allows it.
   * @param reply what is made of the value; callers of one key may get the same Buffer, which nobody may change
   */
  get<R = Buffer | null>(key: string, reply?: (raw: Buffer | null) => R): Promise<R>;
  /** Runs a keyed script; the calls of one turn travel together where the server allows it. */
  run<R>(script: KeyedScript<R>, key: string, ...args: readonly ScriptArgument[]): Promise<R>;
  /**
   * The same for many keys, with one promise for all; rejects when one of them has failed.
   * @param args those that the script shares, then those of each key in turn
   */
  runAll<R>(script: KeyedScript<R>, keys: readonly string[], args: readonly ScriptArgument[]): Promise<readonly R[]>;
  /**
   * Runs any command under the deadline and turns its failure into one of ours. In a cluster the shard of `key` is
   * asked, or one that answers when it is about no key: only then `client` is a connection to one node.
   * @throws StoreUnavailableError when it was not executed, OutcomeUnknownError when nobody knows, WrongTypeError
   */
  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>, key?: string): Promise<T>;
  /** The same over the connection to the primary of one shard, for commands that are about no key. */
  executeOn<T>(shard: Shard, operation: string, command: (node: RedisClient) => Promise<T>): Promise<T>;
  /** Pages of full keys matching a glob, from every primary or one; keys may repeat. */
  scan(pattern: string, shard?: Shard): AsyncIterable<readonly string[]>;
}
