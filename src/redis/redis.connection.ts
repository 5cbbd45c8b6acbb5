import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import type { Circuit } from '../circuit-breaker/circuit.ts';
import { withDeadline } from '../common/deadline.ts';
import { StoreUnavailableError } from '../common/errors.ts';
import { type ConnectionLogger, CredentialAlarm, SILENT } from './availability.log.ts';
import { Availability } from './availability.ts';
import type { AvailabilityListener, AvailabilityState, RecoveryStep, RedisDoor } from './availability.types.ts';
import {
  closeClient,
  createClient,
  createSubscriber,
  describeTarget,
  isCluster,
  type RedisClient,
} from './redis.client.ts';
import { connectNodesAtOnce } from './redis.cluster.ts';
import { CommandDoor } from './redis.door.ts';
import { RedisLink } from './redis.link.ts';
import type { ResolvedRedisOptions } from './redis.options.ts';
import { credentialsRefused, reasonOf } from './redis.outcome.ts';
import { StalePrimaryPolicy } from './redis.reconnect.ts';
import type { KeyedScript, ScriptArgument } from './redis.script.ts';
import { createServerCircuit, defaultBreaker, type ServerBreaker } from './server-circuit.ts';

export type { RedisClient };

const LOST = 'connection lost';
const REFUSALS = { degraded: 'the server does not answer', recovering: 'the server is being told what it missed' };

/**
 * The only way to the server. It runs commands under a deadline, says what their failure means and whether asking
 * makes sense at all; what to do without the server is for its callers to decide.
 */
export class RedisConnection implements RedisDoor {
  // Private to the runtime, too: neither `inspect` nor a serializer finds user and password in here.
  readonly #client: RedisClient;
  readonly #options: ResolvedRedisOptions;
  readonly #circuit: Circuit;
  readonly #availability: Availability;
  readonly #alarm: CredentialAlarm;
  readonly #door: CommandDoor;
  readonly #recoveryDoor: CommandDoor;
  readonly #subscribers = new Set<Redis>();
  readonly #stopWatching: () => void;
  #lastReason = LOST;
  #isClosed = false;

  constructor(
    options: ResolvedRedisOptions,
    logger: ConnectionLogger = SILENT,
    breaker: ServerBreaker = defaultBreaker(),
  ) {
    const server = describeTarget(options.target);
    const policy = new StalePrimaryPolicy();
    this.#options = options;
    this.#client = createClient(options, policy);
    this.#circuit = createServerCircuit(breaker, options.commandTimeoutMs);
    const link = new RedisLink({ client: this.#client, circuit: this.#circuit, options, policy });
    this.#availability = new Availability({ server, logger, probe: () => link.probe() });
    this.#alarm = new CredentialAlarm(server, logger);
    this.#door = new CommandDoor(link, () => this.#refusal('healthy'));
    this.#recoveryDoor = new CommandDoor(link, () => this.#refusal('recovering'));
    this.#stopWatching = this.#watch(breaker);
    this.#client.on('error', this.#onError).on('ready', this.#onReady).on('close', this.#onClose);
    if (this.#isOwned && isCluster(this.#client)) connectNodesAtOnce(this.#client);
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

  get state(): AvailabilityState {
    return this.#availability.state;
  }

  /** When that state was entered, in milliseconds since the epoch. */
  get since(): number {
    return this.#availability.since;
  }

  /** Why that state was entered; holds neither user nor password. */
  get reason(): string {
    return this.#availability.reason;
  }

  get isOneNode(): boolean {
    return this.#door.isOneNode;
  }

  now(): number {
    return this.#door.now();
  }

  /** Tells each change of the state once; the result stops it. */
  onStateChange(listener: AvailabilityListener): () => void {
    return this.#availability.onChange(listener);
  }

  /**
   * Runs `step` each time the server answers again, at the start, too, and before anybody else may send commands. It
   * uses `duringRecovery`. When it rejects, the outage goes on and all steps are tried again. The result removes it.
   */
  onRecovering(step: RecoveryStep): () => void {
    return this.#availability.onRecovering(step);
  }

  /** Opens the connection; resolves after the boot budget at the latest, with or without a server. */
  async connect(): Promise<void> {
    if (this.#client.status === 'wait') this.#client.connect().catch(() => undefined);
    if (this.#client.status === 'ready') this.#onReady();
    const reason = `no answer within ${this.#options.bootBudgetMs} ms`;
    const late = () => new StoreUnavailableError('connect', reason);
    try {
      await withDeadline(this.#availability.whenHealthy(), this.#options.bootBudgetMs, { late });
    } catch {
      this.#availability.giveUpWaiting(reason);
    }
  }

  get(key: string): Promise<Buffer | null> {
    return this.#door.get(key);
  }

  run<R>(script: KeyedScript<R>, key: string, ...args: readonly ScriptArgument[]): Promise<R> {
    return this.#door.run(script, key, ...args);
  }

  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    return this.#door.execute(operation, command);
  }

  scan(pattern: string): AsyncIterable<readonly string[]> {
    return this.#door.scan(pattern);
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
    this.#stopWatching();
    this.#availability.close();
    this.#client.off('ready', this.#onReady).off('close', this.#onClose);
    const clients = [...this.#subscribers, ...(this.#isOwned ? [this.#client] : [])];
    await Promise.all(clients.map((client) => closeClient(client, this.#options.commandTimeoutMs)));
    this.#client.off('error', this.#onError);
  }

  [inspect.custom](): string {
    return `RedisConnection <${describeTarget(this.#options.target)}, ${this.state}>`;
  }

  get #isOwned(): boolean {
    return this.#options.target.kind !== 'instance';
  }

  /** Why a command is not sent now; `opens`: the state from which on it would be. */
  #refusal(opens: 'recovering' | 'healthy'): string | undefined {
    if (this.#client.status !== 'ready' || this.#isClosed) return 'the server is not connected';
    const { state } = this;
    return state === 'healthy' || state === opens ? undefined : REFUSALS[state];
  }

  /** The breaker notices what the connection does not: a server that is connected and does not answer. */
  #watch({ circuits }: ServerBreaker): () => void {
    return circuits.onStateChange(({ name, to, reason }) => {
      if (name !== this.#circuit.config.name) return;
      if (to === 'OPEN' || to === 'ISOLATED') this.#availability.degrade(reason);
      else if (this.#client.status === 'ready') this.#availability.recover();
    });
  }

  readonly #onError = (error: unknown): void => {
    this.#lastReason = reasonOf(error);
    const refused = credentialsRefused(error);
    if (refused !== undefined) this.#alarm.sound(refused);
  };

  readonly #onReady = (): void => {
    this.#lastReason = LOST;
    // What failed on the last connection says nothing about this one.
    if (this.#circuit.machine.state !== 'ISOLATED') this.#circuit.machine.close();
    this.#availability.recover();
  };

  readonly #onClose = (): void => {
    this.#availability.degrade(this.#lastReason);
  };
}
