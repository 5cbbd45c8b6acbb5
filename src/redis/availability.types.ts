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

export interface RecoveryContext {
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
  /** Whether a command would be sent now. */
  readonly isAvailable: boolean;
  /** Whether commands are executed in the order they are sent, whatever their keys. */
  readonly isOneNode: boolean;
  /** The server's clock in milliseconds since the epoch, as last learned from it; this machine's before that. */
  now(): number;
  /**
   * Reads one string key. The reads of one event-loop turn travel as one MGET where the server allows it. A key of
   * another type reads as null then, and is a `WrongTypeError` when it is read alone.
   */
  get(key: string): Promise<Buffer | null>;
  /** Runs a keyed script; the calls of one turn travel together where the server allows it. */
  run<R>(script: KeyedScript<R>, key: string, ...args: readonly ScriptArgument[]): Promise<R>;
  /**
   * Runs any command under the deadline and turns its failure into one of ours.
   * @throws StoreUnavailableError when it was not executed, OutcomeUnknownError when nobody knows, WrongTypeError
   */
  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T>;
  /** Pages of full keys matching a glob, from every primary; keys may repeat. */
  scan(pattern: string): AsyncIterable<readonly string[]>;
}
