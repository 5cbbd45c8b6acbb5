import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import { type ConnectionLogger, ConnectionState, SILENT, type StateListener } from './connection-state.ts';
import { withDeadline } from '../common/deadline.ts';
import { RedisBatcher } from './redis.batcher.ts';
import {
  closeClient,
  createClient,
  createSubscriber,
  describeTarget,
  isCluster,
  type RedisClient,
} from './redis.client.ts';
import { connectNodesAtOnce, primariesReady } from './redis.cluster.ts';
import type { ResolvedRedisOptions } from './redis.options.ts';
import { failureOf, reasonOf } from './redis.outcome.ts';
import { StalePrimaryPolicy } from './redis.reconnect.ts';
import { scanPrimaries } from './redis.scan.ts';
import type { KeyedScript, ScriptArgument } from './redis.script.ts';
import { ServerClock } from './server-clock.ts';

export type { RedisClient };

const LOST = 'connection lost';

/**
 * The only door to the server. It runs commands under a deadline, says what their failure means and whether asking
 * makes sense at all; what to do without the server is for its callers to decide.
 */
export class RedisConnection {
  // Private to the runtime, too: neither `inspect` nor a serializer finds user and password in here.
  readonly #client: RedisClient;
  readonly #options: ResolvedRedisOptions;
  readonly #state: ConnectionState;
  readonly #policy = new StalePrimaryPolicy();
  readonly #clock = new ServerClock();
  readonly #batcher: RedisBatcher;
  readonly #subscribers = new Set<Redis>();
  #lastReason = LOST;
  #isClosed = false;

  constructor(options: ResolvedRedisOptions, logger: ConnectionLogger = SILENT) {
    this.#options = options;
    this.#client = createClient(options, this.#policy);
    this.#state = new ConnectionState(describeTarget(options.target), logger);
    this.#batcher = new RedisBatcher(this, !isCluster(this.#client));
    this.#client.on('error', this.#onError).on('ready', this.#onReady).on('close', this.#onClose);
    if (this.#isOwned && isCluster(this.#client)) connectNodesAtOnce(this.#client);
  }

  /** The ioredis client, for what this package does not cover. */
  get client(): RedisClient {
    return this.#client;
  }

  /** Whether a command would be sent now. */
  get isAvailable(): boolean {
    return this.#state.isAvailable && this.#client.status === 'ready' && !this.#isClosed;
  }

  /** Whether commands are executed in the order they are sent, whatever their keys. */
  get isOneNode(): boolean {
    return this.#batcher.takesSeveralKeys;
  }

  /** The server's clock in milliseconds since the epoch, as last learned from it; this machine's before that. */
  now(): number {
    if (this.#clock.isOutdated && this.isAvailable) void this.#learnTime();
    return this.#clock.now();
  }

  /** Tells each change of the availability once; the result stops it. */
  onStateChange(listener: StateListener): () => void {
    return this.#state.onChange(listener);
  }

  /** Opens the connection; resolves after the boot budget at the latest, with or without a server. */
  async connect(): Promise<void> {
    if (this.#client.status === 'wait') this.#client.connect().catch(() => undefined);
    if (this.#client.status === 'ready') this.#onReady();
    const reason = `no answer within ${this.#options.bootBudgetMs} ms`;
    try {
      const late = () => new StoreUnavailableError('connect', reason);
      await withDeadline(this.#state.whenAvailable(), this.#options.bootBudgetMs, late);
    } catch {
      this.#state.change('unavailable', reason);
    }
  }

  /**
   * Reads one string key. The reads of one event-loop turn travel as one MGET where the server allows it. A key of
   * another type reads as null then, and is a `WrongTypeError` when it is read alone.
   */
  get(key: string): Promise<Buffer | null> {
    return this.#batcher.get(key);
  }

  /** Runs a keyed script; the calls of one turn travel together where the server allows it. */
  run<R>(script: KeyedScript<R>, key: string, ...args: readonly ScriptArgument[]): Promise<R> {
    return this.#batcher.run(script, key, args);
  }

  /**
   * Runs any command under the deadline and turns its failure into one of ours.
   * @throws StoreUnavailableError when it was not executed, OutcomeUnknownError when nobody knows, WrongTypeError
   */
  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    if (!this.isAvailable) return Promise.reject(new StoreUnavailableError(operation, 'the server is not connected'));
    const { commandTimeoutMs } = this.#options;
    const late = () => new OutcomeUnknownError(operation, `no answer within ${commandTimeoutMs} ms`);
    const failed = (error: unknown) => failureOf(operation, error);
    return withDeadline(command(this.#client), commandTimeoutMs, late, failed);
  }

  /** Turns an error that came inside a reply into one of ours; ioredis has not seen it. */
  fail(operation: string, error: Error): Error {
    if (this.#isOwned && !isCluster(this.#client) && this.#policy.shouldReconnect(error)) this.#client.disconnect(true);
    return failureOf(operation, error);
  }

  /** Pages of full keys matching a glob, from every primary; keys may repeat. */
  scan(pattern: string): AsyncIterable<readonly string[]> {
    return scanPrimaries((operation, command) => this.execute(operation, command), pattern);
  }

  /**
   * A second connection to the same server, in a cluster to any node of it, for subscriptions only. It connects at
   * once and never again: after `end` open another one.
   * @throws StoreUnavailableError when there is no node to connect to
   */
  openSubscriber(): Redis {
    const subscriber = this.#isClosed ? undefined : createSubscriber(this.#client, this.#options);
    if (subscriber === undefined) throw new StoreUnavailableError('subscribe', 'the server is not connected');
    this.#subscribers.add(subscriber);
    subscriber.once('end', () => this.#subscribers.delete(subscriber)).on('error', () => undefined);
    subscriber.connect().catch(() => undefined);
    return subscriber;
  }

  /** Ends every connection opened here, not the lent one. Resolves within about a second, also when the server hangs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#client.off('ready', this.#onReady).off('close', this.#onClose);
    const clients = [...this.#subscribers, ...(this.#isOwned ? [this.#client] : [])];
    await Promise.all(clients.map((client) => closeClient(client, this.#options.commandTimeoutMs)));
    this.#client.off('error', this.#onError);
  }

  [inspect.custom](): string {
    return `RedisConnection <${describeTarget(this.#options.target)}, ${this.isAvailable ? 'available' : 'unavailable'}>`;
  }

  get #isOwned(): boolean {
    return this.#options.target.kind !== 'instance';
  }

  readonly #onError = (error: unknown): void => {
    this.#lastReason = reasonOf(error);
  };

  readonly #onReady = (): void => {
    this.#lastReason = LOST;
    void this.#prepare().then(() => {
      if (this.#client.status === 'ready' && !this.#isClosed) this.#state.change('available', 'connected');
    });
  };

  readonly #onClose = (): void => {
    this.#state.change('unavailable', this.#lastReason);
  };

  /** Learns what the first commands need to know. What the server does not tell in time, they do without. */
  async #prepare(): Promise<void> {
    const steps = [primariesReady(this.#client), this.#batcher.probe(this.#client), this.#learnTime()];
    const late = () => new OutcomeUnknownError('connect', 'no answer in time');
    await withDeadline(Promise.allSettled(steps), this.#options.commandTimeoutMs, late).catch(() => undefined);
  }

  async #learnTime(): Promise<void> {
    await this.#clock.learn(() => this.#client.time()).catch(() => undefined);
  }
}
