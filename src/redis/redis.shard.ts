import { inspect } from 'node:util';
import type { Circuit } from '../circuit-breaker/circuit.ts';
import type { ConnectionLogger } from './availability.log.ts';
import { Availability } from './availability.ts';
import type { Shard } from './availability.types.ts';
import type { RedisClient } from './redis.client.ts';
import { RedisLink, type LinkParts } from './redis.link.ts';

const LOST = 'connection lost';
const REFUSALS = { degraded: 'the server does not answer', recovering: 'the server is being told what it missed' };

export interface ShardParts extends LinkParts {
  readonly circuit: Circuit;
  /** Names it in log lines. */
  readonly server: string;
  readonly logger: ConnectionLogger;
}

/** One primary, with a breaker and a state of its own: what happens to it is no concern of the others. */
export class RedisShard implements Shard {
  readonly availability: Availability;
  readonly link: RedisLink;
  readonly #parts: ShardParts;
  #lastReason = LOST;

  constructor(parts: ShardParts) {
    this.#parts = parts;
    this.link = new RedisLink(parts);
    this.availability = new Availability({ ...parts, probe: () => this.link.probe() });
  }

  /** Whether a command would be sent now. */
  get isAvailable(): boolean {
    return this.refusal('healthy') === undefined;
  }

  get place(): string {
    return this.#parts.keys.place;
  }

  holds(key: string): boolean {
    return this.#parts.keys.holds(key);
  }

  /** What its own commands are sent through; undefined while there is no connection to it. */
  get node(): RedisClient | undefined {
    return this.#parts.node();
  }

  /** Why a command is not sent now; `opens`: the state from which on it would be. */
  refusal(opens: 'recovering' | 'healthy'): string | undefined {
    if (this.#parts.client.status !== 'ready') return 'the server is not connected';
    const { state } = this.availability;
    return state === 'healthy' || state === opens ? undefined : REFUSALS[state];
  }

  /** What a connection to it has failed of: told when that connection ends. */
  failed(reason: string): void {
    this.#lastReason = reason;
  }

  lost(reason = this.#lastReason): void {
    this.availability.degrade(reason);
  }

  connected(): void {
    this.#lastReason = LOST;
    const { machine } = this.#parts.circuit;
    // What failed on the last connection says nothing about this one.
    if (machine.state !== 'ISOLATED') machine.close();
    if (this.availability.state === 'healthy') this.availability.verify();
    else this.availability.recover();
  }

  /** The breaker notices what the connection does not: a server that is connected and does not answer. */
  heed(circuit: { readonly name: string; readonly to: string; readonly reason: string }): void {
    if (circuit.name !== this.#parts.circuit.config.name) return;
    if (circuit.to === 'OPEN' || circuit.to === 'ISOLATED') this.lost(circuit.reason);
    else if (this.node?.status === 'ready') this.availability.recover();
  }

  /** Journals and lists of what is away hold shards: what these are made of, passwords too, is not to be seen there. */
  [inspect.custom](): string {
    return `RedisShard <${this.#parts.server}, ${this.availability.state}>`;
  }
}
