import { StoreUnavailableError } from '../common/errors.ts';
import type { RedisDoor, Shard } from './availability.types.ts';
import { type BatchTransport, RedisBatcher, type ServerTraits } from './redis.batcher.ts';
import { type RedisClient, isCluster } from './redis.client.ts';
import { CLUSTER_PLACES } from './key-slot.ts';
import { scanNode } from './redis.scan.ts';
import type { KeyedScript, ScriptArgument } from './redis.script.ts';
import type { RedisShard } from './redis.shard.ts';
import type { Shards } from './redis.shards.ts';
import type { ServerClock } from './server-clock.ts';

export interface DoorParts {
  readonly client: RedisClient;
  readonly shards: Shards;
  readonly traits: ServerTraits;
  readonly clock: ServerClock;
  /** The state of a shard from which on its commands are let through. */
  readonly opens: 'recovering' | 'healthy';
  readonly isClosed: () => boolean;
}

const ONE_PLACE = [''];
const NOT_CONNECTED = 'the server is not connected';

/** Lets commands through to the shard they are for while that one is open, and refuses them at once while it is not. */
export class CommandDoor implements RedisDoor, BatchTransport {
  readonly #parts: DoorParts;
  readonly #batcher: RedisBatcher;
  #favourite: RedisShard | undefined;

  constructor(parts: DoorParts) {
    this.#parts = parts;
    this.#batcher = new RedisBatcher(this, parts.traits);
  }

  get isAvailable(): boolean {
    return this.shards.some((shard) => this.#refusal(shard) === undefined);
  }

  get isOneNode(): boolean {
    return this.#parts.traits.takesSeveralKeys;
  }

  get shards(): readonly RedisShard[] {
    return this.#parts.shards.all;
  }

  get places(): readonly string[] {
    return isCluster(this.#parts.client) ? CLUSTER_PLACES : ONE_PLACE;
  }

  shardOf(key: string): RedisShard | undefined {
    return this.#parts.shards.of(key);
  }

  now(): number {
    return this.#parts.clock.now(this.#learnTime);
  }

  readonly #learnTime = (): void => void this.#anyShard()?.link.learnTime();

  get<R = Buffer | null>(key: string, reply?: (raw: Buffer | null) => R): Promise<R> {
    return this.#batcher.get(key, reply);
  }

  run<R>(script: KeyedScript<R>, key: string, ...args: readonly ScriptArgument[]): Promise<R> {
    return this.#batcher.run(script, key, args);
  }

  runAll<R>(script: KeyedScript<R>, keys: readonly string[], args: readonly ScriptArgument[]): Promise<R[]> {
    return this.#batcher.runAll(script, keys, args);
  }

  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>, key?: string): Promise<T> {
    const shard = key === undefined ? (this.#anyShard() ?? this.shards[0]) : this.shardOf(key);
    return this.#send(operation, command, shard, key === undefined ? shard?.node : this.#parts.client);
  }

  executeOn<T>(shard: Shard, operation: string, command: (node: RedisClient) => Promise<T>): Promise<T> {
    const current = this.shards.find((known) => known === shard);
    return this.#send(operation, command, current, current?.node);
  }

  fail(operation: string, error: Error): Error {
    const [shard] = this.shards;
    return shard?.link.fail(operation, error) ?? error;
  }

  async *scan(pattern: string, only?: Shard): AsyncIterable<readonly string[]> {
    if (this.shards.length === 0) throw new StoreUnavailableError('scan', NOT_CONNECTED);
    for (const shard of only === undefined ? this.shards : this.shards.filter((shard) => shard === only)) {
      yield* scanNode((command) => this.#send('scan', command, shard, shard.node), pattern);
    }
  }

  #send<T>(
    operation: string,
    command: (client: RedisClient) => Promise<T>,
    shard: RedisShard | undefined,
    client: RedisClient | undefined,
  ): Promise<T> {
    if (shard === undefined || client === undefined) return refused(operation, NOT_CONNECTED);
    const refusal = this.#refusal(shard);
    return refusal === undefined ? shard.link.sendTo(client, operation, command) : refused(operation, refusal);
  }

  #refusal(shard: RedisShard): string | undefined {
    return this.#parts.isClosed() ? NOT_CONNECTED : shard.refusal(this.#parts.opens);
  }

  /** The same one for as long as it answers: what is published one after the other arrives in this order. */
  #anyShard(): RedisShard | undefined {
    const { shards } = this;
    const usable = (shard: RedisShard | undefined) => shard !== undefined && this.#refusal(shard) === undefined;
    if (usable(this.#favourite) && shards.some((shard) => shard === this.#favourite)) return this.#favourite;
    // Processes are spread over all of them.
    const start = shards.length > 1 ? Math.floor(Math.random() * shards.length) : 0;
    this.#favourite = [...shards.slice(start), ...shards.slice(0, start)].find(usable);
    return this.#favourite;
  }
}

const refused = (operation: string, reason: string) => Promise.reject(new StoreUnavailableError(operation, reason));
