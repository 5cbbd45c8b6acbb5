import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { withDeadline } from '../common/deadline.ts';
import { StoreUnavailableError } from '../common/errors.ts';
import { type ConnectionLogger, CredentialAlarm, SILENT } from './availability.log.ts';
import type { AvailabilityListener, AvailabilityState, RecoveryStep, RedisDoor, Shard } from './availability.types.ts';
import { ClusterAvailability, type Whole } from './cluster-availability.ts';
import { EvictionWarning } from './eviction-warning.ts';
import {
  closeClient,
  createClient,
  createSubscriber,
  describeTarget,
  isCluster,
  primariesOf,
  type RedisClient,
} from './redis.client.ts';
import { CommandDoor } from './redis.door.ts';
import type { ResolvedRedisOptions } from './redis.options.ts';
import { credentialsRefused, reasonOf } from './redis.outcome.ts';
import { StalePrimaryPolicy } from './redis.reconnect.ts';
import type { KeyedScript, ScriptArgument } from './redis.script.ts';
import { RedisShard } from './redis.shard.ts';
import { shardsOf, type Shards, type ShardSeat } from './redis.shards.ts';
import { createServerCircuit, defaultBreaker, type ServerBreaker } from './server-circuit.ts';
import { ServerClock } from './server-clock.ts';

export type { RedisClient };

type LossListener = (shard: Shard) => void;

/**
 * The only way to the server. It runs commands under a deadline, says what their failure means and whether asking
 * makes sense at all; what to do without the server is for its callers to decide.
 */
export class RedisConnection implements RedisDoor {
  // Private to the runtime, too: neither `inspect` nor a serializer finds user and password in here.
  readonly #client: RedisClient;
  readonly #options: ResolvedRedisOptions;
  readonly #breaker: ServerBreaker;
  readonly #logger: ConnectionLogger;
  readonly #alarm: CredentialAlarm;
  readonly #eviction: EvictionWarning;
  readonly #shards: Shards;
  readonly #whole: Whole;
  readonly #door: CommandDoor;
  readonly #recoveryDoor: CommandDoor;
  readonly #shared = { clock: new ServerClock(), traits: { takesSeveralKeys: true }, policy: new StalePrimaryPolicy() };
  readonly #steps = new Set<{ readonly step: RecoveryStep }>();
  readonly #lossListeners = new Set<{ readonly listener: LossListener }>();
  readonly #subscribers = new Set<Redis>();
  readonly #stopWatching: () => void;
  #lastReason = 'connection lost';
  #isClosed = false;

  constructor(
    options: ResolvedRedisOptions,
    logger: ConnectionLogger = SILENT,
    breaker: ServerBreaker = defaultBreaker(),
  ) {
    const server = describeTarget(options.target);
    this.#options = options;
    this.#logger = logger;
    this.#breaker = breaker;
    this.#client = createClient(options, this.#shared.policy);
    this.#shared.traits.takesSeveralKeys = !isCluster(this.#client);
    this.#alarm = new CredentialAlarm(server, logger);
    this.#eviction = new EvictionWarning(server, logger);
    this.#client.on('error', this.#onError).on('node error', this.#onNodeError);
    this.#shards = shardsOf(
      this.#client,
      (seat) => this.#createShard(seat),
      () => this.#cluster?.update(),
    );
    this.#whole = this.#createWhole(server);
    this.#door = this.#createDoor('healthy');
    this.#recoveryDoor = this.#createDoor('recovering');
    this.#stopWatching = breaker.circuits.onStateChange((change) => {
      for (const shard of this.#shards.all) shard.heed(change);
    });
    this.#client.on('ready', this.#onReady).on('close', this.#onClose);
  }

  /** The ioredis client, for what this package does not cover. */
  get client(): RedisClient {
    return this.#client;
  }

  /** For recovery steps: open as soon as the server answers, before it is open to everybody. */
  get duringRecovery(): RedisDoor {
    return this.#recoveryDoor;
  }

  /** Whether a command would be sent now. */
  get isAvailable(): boolean {
    return this.#door.isAvailable;
  }

  /** Degraded while one of the shards of a cluster is away, too; `reason` tells how many of them. */
  get state(): AvailabilityState {
    return this.#whole.state;
  }

  /** When that state was entered, in milliseconds since the epoch. */
  get since(): number {
    return this.#whole.since;
  }

  /** Why that state was entered; holds neither user nor password. */
  get reason(): string {
    return this.#whole.reason;
  }

  get shards(): readonly Shard[] {
    return this.#door.shards;
  }

  shardOf(key: string): Shard | undefined {
    return this.#door.shardOf(key);
  }

  get places(): readonly string[] {
    return this.#door.places;
  }

  get isOneNode(): boolean {
    return this.#door.isOneNode;
  }

  now(): number {
    return this.#door.now();
  }

  /** Tells each change of the state once; the result stops it. */
  onStateChange(listener: AvailabilityListener): () => void {
    return this.#whole.onChange(listener);
  }

  /** Tells that the keys of a shard cannot be reached from now on; the result stops it. */
  onLoss(listener: LossListener): () => void {
    const entry = { listener };
    this.#lossListeners.add(entry);
    return () => void this.#lossListeners.delete(entry);
  }

  /**
   * Runs `step` each time a shard answers again, at the start, too, and before anybody else may send it commands. It
   * uses `duringRecovery`. When it rejects, the outage goes on and all steps are tried again. The result removes it.
   * A replica that was made the primary of a shard in use is told while that goes on being used.
   */
  onRecovering(step: RecoveryStep): () => void {
    const entry = { step };
    this.#steps.add(entry);
    return () => void this.#steps.delete(entry);
  }

  /** Opens the connection; resolves after the boot budget at the latest, with or without a server. */
  async connect(): Promise<void> {
    if (this.#client.status === 'wait') this.#client.connect().catch(() => undefined);
    this.#shards.start();
    const reason = `no answer within ${this.#options.bootBudgetMs} ms`;
    const late = () => new StoreUnavailableError('connect', reason);
    try {
      await withDeadline(this.#whole.whenHealthy(), this.#options.bootBudgetMs, { late });
    } catch {
      this.#whole.giveUpWaiting(reason);
    }
  }

  get<R = Buffer | null>(key: string, reply?: (raw: Buffer | null) => R): Promise<R> {
    return this.#door.get(key, reply);
  }

  run<R>(script: KeyedScript<R>, key: string, ...args: readonly ScriptArgument[]): Promise<R> {
    return this.#door.run(script, key, ...args);
  }

  runAll<R>(script: KeyedScript<R>, keys: readonly string[], args: readonly ScriptArgument[]): Promise<R[]> {
    return this.#door.runAll(script, keys, args);
  }

  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>, key?: string): Promise<T> {
    return this.#door.execute(operation, command, key);
  }

  executeOn<T>(shard: Shard, operation: string, command: (node: RedisClient) => Promise<T>): Promise<T> {
    return this.#door.executeOn(shard, operation, command);
  }

  scan(pattern: string, shard?: Shard): AsyncIterable<readonly string[]> {
    return this.#door.scan(pattern, shard);
  }

  /** Names of the servers that take writes, as far as they are known: one, or those of a cluster. */
  get primaries(): readonly string[] {
    return primariesOf(this.#client);
  }

  /**
   * A second connection to the same server, in a cluster to any node of it or to one of the `primaries`, for
   * subscriptions only. It connects at once and never again: after `end` open another one.
   * @throws StoreUnavailableError when there is no node to connect to
   */
  openSubscriber(primary?: string): Redis {
    const subscriber = this.#isClosed ? undefined : createSubscriber(this.#client, this.#options, primary);
    if (subscriber === undefined) throw new StoreUnavailableError('subscribe', 'the server is not connected');
    this.#subscribers.add(subscriber);
    subscriber.once('end', () => this.#subscribers.delete(subscriber)).on('error', () => undefined);
    subscriber.connect().catch(() => undefined);
    return subscriber;
  }

  /** Ends every connection opened here, not the lent one. Resolves within about a second, also when the server hangs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopWatching();
    this.#whole.close();
    this.#shards.close();
    for (const { availability } of this.#shards.all) availability.close();
    this.#client.off('ready', this.#onReady).off('close', this.#onClose);
    const clients = [...this.#subscribers, ...(this.#isOwned ? [this.#client] : [])];
    await Promise.all(clients.map((client) => closeClient(client, this.#options.commandTimeoutMs)));
    this.#client.off('error', this.#onError).off('node error', this.#onNodeError);
  }

  [inspect.custom](): string {
    return `RedisConnection <${describeTarget(this.#options.target)}, ${this.state}>`;
  }

  get #isOwned(): boolean {
    return this.#options.target.kind !== 'instance';
  }

  get #cluster(): ClusterAvailability | undefined {
    return this.#whole instanceof ClusterAvailability ? this.#whole : undefined;
  }

  #createShard({ number, ...seat }: ShardSeat): RedisShard {
    const [options, client] = [this.#options, this.#client];
    const name = number === undefined ? 'server' : `server:${number}`;
    const circuit = createServerCircuit(this.#breaker, options.commandTimeoutMs, name);
    // The lines of a cluster are written for all of its shards together.
    const logger = number === undefined ? this.#logger : SILENT;
    const server = describeTarget(options.target);
    const shard = new RedisShard({
      ...this.#shared,
      eviction: this.#eviction,
      ...seat,
      server,
      logger,
      circuit,
      options,
      client,
    });
    shard.availability.onRecovering(async (context) => {
      for (const { step } of [...this.#steps]) await step({ ...context, shard });
    });
    shard.availability.onChange(({ to }) => {
      if (to === 'degraded') for (const { listener } of [...this.#lossListeners]) listener(shard);
      this.#cluster?.update();
    });
    return shard;
  }

  #createWhole(server: string): Whole {
    const [only] = this.#shards.all;
    if (!isCluster(this.#client) && only !== undefined) return only.availability;
    const isConnected = () => this.#client.status === 'ready';
    return new ClusterAvailability({ server, logger: this.#logger, shards: () => this.#shards, isConnected });
  }

  #createDoor(opens: 'recovering' | 'healthy'): CommandDoor {
    const { clock, traits } = this.#shared;
    const isClosed = () => this.#isClosed;
    return new CommandDoor({ client: this.#client, shards: this.#shards, clock, traits, opens, isClosed });
  }

  readonly #onError = (error: unknown): void => {
    this.#lastReason = reasonOf(error);
    this.#onNodeError(error);
  };

  /** Of a cluster only. */
  readonly #onNodeError = (error: unknown): void => {
    const refused = credentialsRefused(error);
    if (refused !== undefined) this.#alarm.sound(refused);
  };

  readonly #onReady = (): void => {
    this.#lastReason = 'connection lost';
  };

  /** A cluster is closed when not one of its nodes is connected. */
  readonly #onClose = (): void => {
    this.#cluster?.lost(this.#lastReason);
  };
}
