import { StoreUnavailableError } from '../common/errors.ts';
import type { RedisDoor } from './availability.types.ts';
import { type BatchTransport, RedisBatcher } from './redis.batcher.ts';
import type { RedisClient } from './redis.client.ts';
import type { RedisLink } from './redis.link.ts';
import { scanPrimaries } from './redis.scan.ts';
import type { KeyedScript, ScriptArgument } from './redis.script.ts';

/** Lets commands through to the server while it is open, and refuses them at once while it is not. */
export class CommandDoor implements RedisDoor, BatchTransport {
  readonly #link: RedisLink;
  readonly #refusal: () => string | undefined;
  readonly #batcher: RedisBatcher;

  /** `refusal` says why a command is not sent now; undefined: it is. */
  constructor(link: RedisLink, refusal: () => string | undefined) {
    this.#link = link;
    this.#refusal = refusal;
    this.#batcher = new RedisBatcher(this, link.traits);
  }

  get isAvailable(): boolean {
    return this.#refusal() === undefined;
  }

  get isOneNode(): boolean {
    return this.#link.traits.takesSeveralKeys;
  }

  now(): number {
    if (this.#link.clock.isOutdated && this.isAvailable) void this.#link.learnTime();
    return this.#link.clock.now();
  }

  get(key: string): Promise<Buffer | null> {
    return this.#batcher.get(key);
  }

  run<R>(script: KeyedScript<R>, key: string, ...args: readonly ScriptArgument[]): Promise<R> {
    return this.#batcher.run(script, key, args);
  }

  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(new StoreUnavailableError(operation, refusal));
    return this.#link.send(operation, command);
  }

  fail(operation: string, error: Error): Error {
    return this.#link.fail(operation, error);
  }

  scan(pattern: string): AsyncIterable<readonly string[]> {
    return scanPrimaries((operation, command) => this.execute(operation, command), pattern);
  }
}
