import type { Circuit } from '../circuit-breaker/circuit.ts';
import { OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import { within } from '../common/within.ts';
import type { EvictionWarning } from './eviction-warning.ts';
import type { Shard } from './availability.types.ts';
import { probeTraits, type ServerTraits } from './redis.batcher.ts';
import { isCluster, type RedisClient } from './redis.client.ts';
import type { ResolvedRedisOptions } from './redis.options.ts';
import { failureOf } from './redis.outcome.ts';
import { askIdentity } from './redis.probe.ts';
import type { StalePrimaryPolicy } from './redis.reconnect.ts';
import { ServerClock } from './server-clock.ts';

export interface LinkParts {
  readonly client: RedisClient;
  /** The connection to its primary, where there is one. */
  readonly node: () => RedisClient | undefined;
  /** The keys it answers for. */
  readonly keys: Shard;
  readonly clock: ServerClock;
  readonly traits: ServerTraits;
  readonly circuit: Circuit;
  readonly options: ResolvedRedisOptions;
  readonly policy: StalePrimaryPolicy;
  readonly eviction: EvictionWarning;
}

/** Sends commands under the deadline and the breaker, and says what became of them. Who may send is decided elsewhere. */
export class RedisLink {
  // Private to the runtime, too: a password is in here.
  readonly #parts: LinkParts;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  send<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    return this.sendTo(this.#parts.client, operation, command);
  }

  sendTo<T>(client: RedisClient, operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    const { circuit, options } = this.#parts;
    return circuit.run(() => command(client), {
      late: () => new OutcomeUnknownError(operation, `no answer within ${options.commandTimeoutMs} ms`),
      failed: (error) => failureOf(operation, error),
    });
  }

  /** Turns an error that came inside a reply into one of ours; ioredis has not seen it. */
  fail(operation: string, error: Error): Error {
    if (this.#parts.policy.shouldReconnect(error)) this.#reconnect();
    return failureOf(operation, error);
  }

  /**
   * Finds out whether the server can be used; while the breaker is half-open this is what it lets through, as many
   * trials as are configured. Resolves with its run id, unless our user may not ask for it.
   * @throws StoreUnavailableError, OutcomeUnknownError
   */
  async probe(): Promise<readonly string[]> {
    const { policy, keys, circuit } = this.#parts;
    const trials = circuit.machine.state === 'HALF_OPEN' ? circuit.config.halfOpenMaxCalls : 1;
    const node = this.#parts.node();
    if (node?.status !== 'ready') throw new StoreUnavailableError('probe', 'the server is not connected');
    const { isReplica, runIds } = await this.sendTo(node, 'probe', async () => {
      const ask = () => askIdentity(node, keys.place);
      const [identity] = await Promise.all([ask(), ...Array.from({ length: trials - 1 }, ask)]);
      return identity;
    });
    if (isReplica) {
      // The address may lead to the primary by now.
      if (policy.mayReconnect()) this.#reconnect();
      throw new StoreUnavailableError('probe', 'the server is a replica');
    }
    await this.#prepare(node);
    return runIds;
  }

  async learnTime(): Promise<void> {
    const { clock, node } = this.#parts;
    await clock.learn(async () => (await node()?.time()) ?? Promise.reject(new Error('away'))).catch(() => undefined);
  }

  /** Learns what the first commands need to know. What the server does not tell in time, they do without. */
  async #prepare(node: RedisClient): Promise<void> {
    const { traits, options, eviction } = this.#parts;
    const steps = [probeTraits(node, traits), this.learnTime(), eviction.look(node)];
    await within(Promise.allSettled(steps), options.commandTimeoutMs, undefined);
  }

  #reconnect(): void {
    const { client, options } = this.#parts;
    if (options.target.kind !== 'instance' && !isCluster(client)) client.disconnect(true);
  }
}
