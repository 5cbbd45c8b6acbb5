import { groupBy } from '../common/group-by.ts';
import { nth } from '../common/nth.ts';
import type { RedisDoor } from '../redis/availability.types.ts';
import { BatchTurn } from '../redis/batch-turn.ts';
import type { RedisClient } from '../redis/redis.client.ts';
import { replyCodeOf } from '../redis/redis.outcome.ts';
import { evaluate, scriptOf } from '../redis/redis.script.ts';
import { RATE_LIMIT } from './rate-limit.lua.ts';
import type { QuotaState } from './rate-limit-store.interface.ts';

const SCRIPT = scriptOf(RATE_LIMIT);
const MAX_KEYS = 128;
const FIGURES_PER_KEY = 4;
const BLOCKS = ['none', 'blocked', 'imposed'] as const;

/** What the script does for one request, as it takes it; requests that pass the same array share it in a batch. */
export type ScriptCharge = readonly (string | number)[];

export interface ScriptRequest {
  readonly charge: ScriptCharge;
  readonly keys: readonly string[];
  /** The slot of the keys; undefined when they are of several. */
  readonly slot: string | undefined;
}

interface Waiting extends ScriptRequest {
  readonly resolve: (states: QuotaState[] | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends the requests of one event-loop turn as one script call, in a cluster as one per slot.
 */
export class RateLimitBatcher {
  #waiting: Waiting[] = [];
  readonly #turn = new BatchTurn(() => this.#flush());
  /** Until the server refuses a call because of its keys. */
  #takesSeveralSlots = true;

  constructor(private readonly door: RedisDoor) {}

  /** Whether one call may hold keys of different slots. */
  get takesSeveralSlots(): boolean {
    return this.#takesSeveralSlots && this.door.isOneNode;
  }

  /** Undefined: nothing was done, because the server turned out not to take keys of several slots. Ask again. */
  ask(request: ScriptRequest): Promise<QuotaState[] | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ charge: request.charge, keys: request.keys, slot: request.slot, resolve, reject });
      if (this.#waiting.length >= MAX_KEYS) this.#flush();
      else this.#turn.schedule();
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    if (this.takesSeveralSlots) this.#send(waiting);
    else for (const group of groupBy(waiting, ({ slot }) => slot).values()) this.#send(group);
  }

  #send(requests: readonly Waiting[]): void {
    const { keys, args } = callOf(requests);
    this.#turn.began();
    this.door
      .execute('rateLimit.decide', (client) => this.#call(client, keys, args), keys[0])
      .then(
        (figures) => {
          this.#turn.ended();
          let at = 0;
          for (const { keys, resolve } of requests) {
            resolve(figures && statesIn(figures, at, keys.length));
            at += keys.length * FIGURES_PER_KEY;
          }
        },
        (error: unknown) => {
          this.#turn.ended();
          for (const { reject } of requests) reject(error);
        },
      );
  }

  async #call(
    client: RedisClient,
    keys: readonly string[],
    args: ScriptCharge,
  ): Promise<readonly number[] | undefined> {
    try {
      return (await evaluate(client, SCRIPT, keys, args)) as readonly number[];
    } catch (error) {
      if (keys.length === 1 || replyCodeOf(error) !== 'CROSSSLOT') throw error;
      this.#takesSeveralSlots = false;
      return undefined;
    }
  }
}

/** All keys, and the arguments: each different charge once, then which of them each request is for. */
function callOf(requests: readonly ScriptRequest[]): { keys: string[]; args: (string | number)[] } {
  const numbers = new Map<ScriptCharge, number>();
  const keys: string[] = [];
  const args: (string | number)[] = [0];
  const chosen: number[] = [];
  for (const { charge, keys: own } of requests) {
    let number = numbers.get(charge);
    if (number === undefined) {
      number = numbers.size + 1;
      numbers.set(charge, number);
      args.push(...charge);
    }
    keys.push(...own);
    chosen.push(number);
  }
  args[0] = numbers.size;
  args.push(...chosen);
  return { keys, args };
}

function statesIn(figures: readonly number[], from: number, count: number): QuotaState[] {
  const states: QuotaState[] = [];
  for (let at = from; at < from + count * FIGURES_PER_KEY; at += FIGURES_PER_KEY) {
    const block = BLOCKS[nth(figures, at + 3)] ?? 'none';
    states.push({ used: nth(figures, at), resetMs: nth(figures, at + 1), retryAfterMs: nth(figures, at + 2), block });
  }
  return states;
}
