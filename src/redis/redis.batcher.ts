import { BatchTurn } from './batch-turn.ts';
import type { RedisClient } from './redis.client.ts';
import { replyCodeOf } from './redis.outcome.ts';
import { evaluate, type KeyedScript, type RawReply, type ScriptArgument } from './redis.script.ts';
import {
  apart,
  assertArity,
  type Call,
  FULL_BYTES,
  type Group,
  groupsOf,
  MAX_KEYS,
  partsOf,
  sizeOf,
} from './script-calls.ts';

/** What the batcher needs of the connection. */
export interface BatchTransport {
  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>, key?: string): Promise<T>;
  /** Turns an error that came inside a reply into one of ours. */
  fail(operation: string, error: Error): Error;
}

/** What is known about the server by now; batchers of the same server share it. */
export interface ServerTraits {
  /** Whether commands of several keys are sent: until the server refuses the first one. */
  takesSeveralKeys: boolean;
}

/** Two keys that nobody stores, of different slots. */
const PROBE_KEYS = ['nestjs-keep:probe:1', 'nestjs-keep:probe:2'];

interface Request<T> {
  readonly key: string;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}
interface Read extends Request<unknown> {
  readonly reply: ((raw: Buffer | null) => unknown) | undefined;
}

/** The command was refused because its keys are not of one slot, and nothing of it was executed. */
const REFUSED = Symbol('refused');

/**
 * Collects the reads and the script calls of one event-loop turn into one MGET and one EVALSHA per script.
 */
export class RedisBatcher {
  // Plain lists, sorted out when they leave: most batches of a lone caller hold one read.
  #reads: Read[] = [];
  #calls: Call[] = [];
  #called = 0;
  #bytes = 0;
  readonly #turn = new BatchTurn(() => this.#flush());

  constructor(
    private readonly transport: BatchTransport,
    private readonly traits: ServerTraits,
  ) {}

  get<R = Buffer | null>(key: string, reply?: (raw: Buffer | null) => R): Promise<R> {
    return new Promise<unknown>((resolve, reject) => {
      this.#reads.push({ key, reply, resolve, reject });
      this.#schedule();
    }) as Promise<R>;
  }

  /** @throws RangeError when the number of arguments is not the script's */
  run<R>(script: KeyedScript<R>, key: string, args: readonly ScriptArgument[]): Promise<R> {
    return new Promise<unknown>((resolve, reject) => {
      const keys = [key];
      assertArity(script, { keys, args });
      this.#add({ script, keys, args, resolve: ([value]) => resolve(value), reject });
    }) as Promise<R>;
  }

  /**
   * One promise for all keys, which rejects when one of them has failed.
   * @param args those that are shared, then those of each key in turn
   * @throws RangeError when their number is not the script's
   */
  async runAll<R>(script: KeyedScript<R>, keys: readonly string[], args: readonly ScriptArgument[]): Promise<R[]> {
    assertArity(script, { keys, args });
    const parts = partsOf(script, { keys, args }).map((part) => {
      return new Promise<readonly unknown[]>((resolve, reject) => this.#add({ script, ...part, resolve, reject }));
    });
    return (await Promise.all(parts)).flat() as R[];
  }

  #add(call: Call): void {
    if (this.#reads.length + this.#called + call.keys.length > MAX_KEYS) this.#flush();
    this.#calls.push(call);
    this.#called += call.keys.length;
    this.#bytes += sizeOf(call.args);
    this.#schedule();
  }

  #schedule(): void {
    const isFull = this.#reads.length + this.#called >= MAX_KEYS || this.#bytes >= FULL_BYTES;
    if (isFull) this.#flush();
    else this.#turn.schedule();
  }

  #flush(): void {
    const [reads, calls] = [this.#reads, this.#calls];
    this.#called = 0;
    this.#bytes = 0;
    if (reads.length > 0) {
      this.#reads = [];
      this.#read(reads);
    }
    if (calls.length > 0) {
      this.#calls = [];
      for (const group of groupsOf(calls)) this.#call(group);
    }
  }

  #read(reads: readonly Read[]): void {
    if (this.traits.takesSeveralKeys) this.#readTogether(reads);
    else for (const read of reads) this.#readTogether([read]);
  }

  #readTogether(reads: readonly Read[]): void {
    const positions = new Map<string, number>();
    for (const { key } of reads) if (!positions.has(key)) positions.set(key, positions.size);
    const keys = [...positions.keys()];
    this.#send('get', keys[0], (client) => orRefused(client.mgetBuffer(keys), keys), {
      resolve: (values) => {
        if (values === REFUSED) this.#oneByOne(() => this.#read(reads));
        else for (const read of reads) answer(read, values[positions.get(read.key) ?? 0] ?? null);
      },
      reject: (error) => reads.forEach((read) => read.reject(error)),
    });
  }

  #call(group: Group): void {
    if (this.traits.takesSeveralKeys) this.#callTogether(group);
    else for (const call of group.calls.flatMap(apart)) this.#callTogether({ ...group, calls: [call] });
  }

  #callTogether(group: Group): void {
    const { script, shared, calls } = group;
    const keys: string[] = [];
    const args = [...shared];
    for (const call of calls) {
      for (const key of call.keys) keys.push(key);
      for (let at = script.shared; at < call.args.length; at++) args.push(call.args[at] ?? '');
    }
    this.#send(script.name, keys[0], (client) => orRefused(evaluate(client, script, keys, args), keys), {
      resolve: (replies) => {
        if (replies === REFUSED) this.#oneByOne(() => this.#call(group));
        else this.#answerAll(calls, replies);
      },
      reject: (error) => calls.forEach((call) => call.reject(error)),
    });
  }

  #send<T>(
    operation: string,
    key: string | undefined,
    command: (client: RedisClient) => Promise<T>,
    { resolve, reject }: Pick<Request<T>, 'resolve' | 'reject'>,
  ): void {
    this.#turn.began();
    this.transport.execute(operation, command, key).then(
      (value) => {
        this.#turn.ended();
        resolve(value);
      },
      (error: unknown) => {
        this.#turn.ended();
        reject(error);
      },
    );
  }

  #answerAll(calls: readonly Call[], replies: readonly RawReply[]): void {
    let before = 0;
    for (const { script, keys, resolve, reject } of calls) {
      const first = before;
      before += keys.length;
      try {
        resolve(keys.map((_, index) => this.#made(script, replies[first + index] ?? null)));
      } catch (error) {
        reject(error);
      }
    }
  }

  #made(script: KeyedScript<unknown>, reply: RawReply): unknown {
    if (reply instanceof Error) throw this.transport.fail(script.name, reply);
    return script.reply(reply);
  }

  #oneByOne(again: () => void): void {
    this.traits.takesSeveralKeys = false;
    again();
  }
}

/** Finds out before the first batch whether the server refuses keys of different slots, as a serverless one does. */
export async function probeTraits(client: RedisClient, traits: ServerTraits): Promise<void> {
  if (!traits.takesSeveralKeys) return;
  const reply = await orRefused(client.mget(PROBE_KEYS), PROBE_KEYS);
  if (reply === REFUSED) traits.takesSeveralKeys = false;
}

const answer = ({ reply, resolve }: Read, raw: Buffer | null): void => resolve(reply === undefined ? raw : reply(raw));

function orRefused<T>(reply: Promise<T>, keys: readonly string[]): Promise<T | typeof REFUSED> {
  if (keys.length === 1) return reply;
  return reply.catch((error: unknown) => {
    if (replyCodeOf(error) === 'CROSSSLOT') return REFUSED;
    throw error;
  });
}
