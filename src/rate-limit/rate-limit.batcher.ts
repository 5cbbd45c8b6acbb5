import { groupBy } from '../common/group-by.ts';
import type { RedisDoor } from '../redis/availability.types.ts';
import { BatchTurn } from '../redis/batch-turn.ts';
import type { RedisClient } from '../redis/redis.client.ts';
import { replyCodeOf } from '../redis/redis.outcome.ts';
import { evaluate, scriptOf } from '../redis/redis.script.ts';
import { RATE_LIMIT } from './rate-limit.lua.ts';
import { ScriptCall, type ScriptRequest } from './rate-limit.script-call.ts';
import type { QuotaState } from './rate-limit-store.interface.ts';

const SCRIPT = scriptOf(RATE_LIMIT);
/** Larger calls would keep the server, and everybody who waits for it, busy for too long. */
const MAX_REQUESTS = 128;

type States = readonly QuotaState[];

export interface LimitRequest extends ScriptRequest {
  /** The slot of the keys; undefined when they are of several. */
  readonly slot: string | undefined;
  /** What to do instead with keys of several slots where one call may not hold them. */
  readonly apart?: (() => Promise<States>) | undefined;
}

interface Waiting extends LimitRequest {
  readonly resolve: (states: States | Promise<States>) => void;
  readonly reject: (error: unknown) => void;
}

/** The call was refused because its keys are not of one slot, and nothing of it was executed. */
const REFUSED = Symbol('refused');

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

  ask({ charge, keys, slot, apart }: LimitRequest): Promise<States> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ charge, keys, slot, apart, resolve, reject });
      if (this.#waiting.length >= MAX_REQUESTS) this.#flush();
      else this.#turn.schedule();
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    if (this.takesSeveralSlots) this.#send(waiting);
    else this.#sendBySlot(waiting);
  }

  #sendBySlot(waiting: readonly Waiting[]): void {
    for (const [slot, group] of groupBy(waiting, (request) => request.slot)) {
      if (slot !== undefined) this.#send(group);
      else for (const { apart, resolve, reject } of group) apart?.().then(resolve, reject);
    }
  }

  #send(waiting: readonly Waiting[]): void {
    const call = new ScriptCall(waiting);
    this.#turn.began();
    this.door
      .execute('rateLimit.decide', (client) => run(client, call), call.keys[0])
      .then(
        (figures) => {
          this.#turn.ended();
          if (figures === REFUSED) this.#sendApart(waiting);
          else call.deal(figures, tell);
        },
        (error: unknown) => {
          this.#turn.ended();
          for (const { reject } of waiting) reject(error);
        },
      );
  }

  #sendApart(waiting: readonly Waiting[]): void {
    this.#takesSeveralSlots = false;
    this.#sendBySlot(waiting);
  }
}

const tell = ({ resolve }: Waiting, states: States): void => resolve(states);

async function run(
  client: RedisClient,
  { keys, args }: ScriptCall<Waiting>,
): Promise<readonly number[] | typeof REFUSED> {
  try {
    return (await evaluate(client, SCRIPT, keys, args)) as readonly number[];
  } catch (error) {
    if (keys.length > 1 && replyCodeOf(error) === 'CROSSSLOT') return REFUSED;
    throw error;
  }
}
