import type { Circuit } from '../circuit-breaker/circuit.ts';
import { OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import { within } from '../common/within.ts';
import { probeTraits, type ServerTraits } from './redis.batcher.ts';
import { isCluster, type RedisClient } from './redis.client.ts';
import { primariesReady } from './redis.cluster.ts';
import type { ResolvedRedisOptions } from './redis.options.ts';
import { failureOf } from './redis.outcome.ts';
import { askIdentity } from './redis.probe.ts';
import type { StalePrimaryPolicy } from './redis.reconnect.ts';
import { ServerClock } from './server-clock.ts';

export interface LinkParts {
  readonly client: RedisClient;
  readonly circuit: Circuit;
  readonly options: ResolvedRedisOptions;
  readonly policy: StalePrimaryPolicy;
}

/** Sends commands under the deadline and the breaker, and says what became of them. Who may send is decided elsewhere. */
export class RedisLink {
  // Private to the runtime, too: a password is in here.
  readonly #parts: LinkParts;
  readonly clock = new ServerClock();
  readonly traits: ServerTraits;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.traits = { takesSeveralKeys: !isCluster(parts.client) };
  }

  send<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    const { client, circuit, options } = this.#parts;
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
   * Finds out whether the server can be used; while the breaker is half-open this is the trial call. Resolves with the
   * run ids of the primaries.
   * @throws StoreUnavailableError, OutcomeUnknownError
   */
  async probe(): Promise<readonly string[]> {
    const { client, options, policy } = this.#parts;
    await within(primariesReady(client), options.commandTimeoutMs, undefined);
    const { isReplica, runIds } = await this.send('probe', askIdentity);
    if (isReplica) {
      // The address may lead to the primary by now.
      if (policy.mayReconnect()) this.#reconnect();
      throw new StoreUnavailableError('probe', 'the server is a replica');
    }
    await this.#prepare();
    return runIds;
  }

  async learnTime(): Promise<void> {
    await this.clock.learn(() => this.#parts.client.time()).catch(() => undefined);
  }

  /** Learns what the first commands need to know. What the server does not tell in time, they do without. */
  async #prepare(): Promise<void> {
    const { client, options } = this.#parts;
    const steps = [probeTraits(client, this.traits), this.learnTime()];
    await within(Promise.allSettled(steps), options.commandTimeoutMs, undefined);
  }

  #reconnect(): void {
    const { client, options } = this.#parts;
    if (options.target.kind !== 'instance' && !isCluster(client)) client.disconnect(true);
  }
}
