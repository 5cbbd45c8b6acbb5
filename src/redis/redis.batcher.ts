import type { RedisClient } from './redis.client.ts';
import { replyCodeOf } from './redis.outcome.ts';
import type { KeyedScript, RawReply } from './redis.script.ts';

export type ScriptArgument = string | number | Buffer;

/** What the batcher needs of the connection. */
export interface BatchTransport {
  execute<T>(operation: string, command: (client: RedisClient) => Promise<T>): Promise<T>;
  /** Turns an error that came inside a reply into one of ours. */
  fail(operation: string, error: Error): Error;
}

const MAX_KEYS = 128;
/** Larger batches would keep the server, and everybody who waits for it, busy for too long. */
const MAX_BYTES = 1024 ** 2;

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}
interface Read extends Settle<Buffer | null> {
  readonly key: string;
  readonly promise: Promise<Buffer | null>;
}
interface Call extends Settle<unknown> {
  readonly key: string;
  readonly args: readonly ScriptArgument[];
}

/** The command was refused because its keys are not of one slot, and nothing of it was executed. */
const REFUSED = Symbol('refused');

/**
 * Collects the reads and the script calls of one event-loop turn into one MGET and one EVALSHA per script.
 *
 * While nothing is in flight a batch leaves at the end of the current callback, so a lone caller waits for nobody;
 * otherwise it leaves at the end of the turn, when all callers woken by the same reply have asked again.
 */
export class RedisBatcher {
  #reads = new Map<string, Read>();
  #calls = new Map<KeyedScript<unknown>, Call[]>();
  #keys = 0;
  #bytes = 0;
  #inFlight = 0;
  #isScheduled = false;

  /** `severalKeys`: whether the server takes several keys in one command. */
  constructor(
    private readonly transport: BatchTransport,
    private severalKeys: boolean,
  ) {}

  /** Whether commands of several keys are sent: until the server refuses the first one. */
  get takesSeveralKeys(): boolean {
    return this.severalKeys;
  }

  /** Callers that ask for the same key in one turn get the same Buffer, which nobody may change. */
  get(key: string): Promise<Buffer | null> {
    const pending = this.#reads.get(key);
    if (pending !== undefined) return pending.promise;
    const { promise, ...settle } = withResolvers<Buffer | null>();
    this.#reads.set(key, { key, promise, ...settle });
    this.#schedule(0);
    return promise;
  }

  /** @throws RangeError when the number of arguments is not the script's: it would shift those of the other calls */
  run<R>(script: KeyedScript<R>, key: string, args: readonly ScriptArgument[]): Promise<R> {
    if (args.length !== script.arity) {
      return Promise.reject(new RangeError(`${script.name} takes ${script.arity} arguments, not ${args.length}`));
    }
    return new Promise<unknown>((resolve, reject) => {
      const calls = this.#calls.get(script);
      const call = { key, args, resolve, reject };
      if (calls === undefined) this.#calls.set(script, [call]);
      else calls.push(call);
      this.#schedule(sizeOf(args));
    }) as Promise<R>;
  }

  /** Finds out before the first batch whether the server refuses keys of different slots, as a serverless one does. */
  async probe(client: RedisClient): Promise<void> {
    if (!this.severalKeys) return;
    const reply = await orRefused(client.mget('nestjs-keep:probe:1', 'nestjs-keep:probe:2'));
    if (reply === REFUSED) this.severalKeys = false;
  }

  #schedule(bytes: number): void {
    this.#keys += 1;
    this.#bytes += bytes;
    if (this.#keys >= MAX_KEYS || this.#bytes >= MAX_BYTES) this.#flush();
    else if (!this.#isScheduled) this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    this.#isScheduled = true;
    const flush = () => {
      this.#isScheduled = false;
      this.#flush();
    };
    if (this.#inFlight === 0) process.nextTick(flush);
    else setImmediate(flush);
  }

  #flush(): void {
    if (this.#keys === 0) return;
    const [reads, calls] = [this.#reads, this.#calls];
    this.#reads = new Map();
    this.#calls = new Map();
    this.#keys = 0;
    this.#bytes = 0;
    if (reads.size > 0) void this.#track(this.#read([...reads.values()]));
    for (const [script, group] of calls) void this.#track(this.#call(script, group));
  }

  async #track(work: Promise<unknown>): Promise<void> {
    this.#inFlight += 1;
    await work;
    this.#inFlight -= 1;
  }

  /** Never rejects: every outcome goes to the callers. */
  async #read(reads: readonly Read[]): Promise<void> {
    if (reads.length === 1 || !this.severalKeys) {
      await Promise.all(reads.map((read) => this.#readOne(read)));
      return;
    }
    try {
      const keys = reads.map((read) => read.key);
      const values = await this.transport.execute('get', (client) => orRefused(client.mgetBuffer(keys)));
      if (values === REFUSED) await this.#oneByOne(() => this.#read(reads));
      else reads.forEach((read, index) => read.resolve(values[index] ?? null));
    } catch (error) {
      for (const read of reads) read.reject(error);
    }
  }

  #readOne({ key, resolve, reject }: Read): Promise<void> {
    return this.transport.execute('get', (client) => client.getBuffer(key)).then(resolve, reject);
  }

  /** Never rejects: every outcome goes to the callers. */
  async #call(script: KeyedScript<unknown>, calls: readonly Call[]): Promise<void> {
    if (calls.length > 1 && !this.severalKeys) {
      await Promise.all(calls.map((call) => this.#call(script, [call])));
      return;
    }
    try {
      const replies = await this.transport.execute(script.name, (client) => orRefused(evaluate(client, script, calls)));
      if (replies === REFUSED) await this.#oneByOne(() => this.#call(script, calls));
      else calls.forEach((call, index) => this.#answer(script, call, replies[index]));
    } catch (error) {
      for (const call of calls) call.reject(error);
    }
  }

  #answer(script: KeyedScript<unknown>, call: Call, reply: RawReply = null): void {
    try {
      if (reply instanceof Error) throw this.transport.fail(script.name, reply);
      call.resolve(script.reply(reply));
    } catch (error) {
      call.reject(error);
    }
  }

  #oneByOne(again: () => Promise<void>): Promise<void> {
    this.severalKeys = false;
    return again();
  }
}

/** Runs a script for all calls; a server that does not know it (any more) gets its source, as it has not run then. */
async function evaluate(
  client: RedisClient,
  script: KeyedScript<unknown>,
  calls: readonly Call[],
): Promise<RawReply[]> {
  const rest: ScriptArgument[] = [calls.length];
  for (const { key } of calls) rest.push(key);
  for (const { args } of calls) rest.push(...args);
  try {
    return (await client.callBuffer('EVALSHA', [script.sha, ...rest])) as RawReply[];
  } catch (error) {
    if (replyCodeOf(error) !== 'NOSCRIPT') throw error;
    return (await client.callBuffer('EVAL', [script.lua, ...rest])) as RawReply[];
  }
}

async function orRefused<T>(reply: Promise<T>): Promise<T | typeof REFUSED> {
  try {
    return await reply;
  } catch (error) {
    if (replyCodeOf(error) === 'CROSSSLOT') return REFUSED;
    throw error;
  }
}

function sizeOf(args: readonly ScriptArgument[]): number {
  let bytes = 0;
  for (const arg of args) if (typeof arg !== 'number') bytes += arg.length;
  return bytes;
}

function withResolvers<T>() {
  let settle!: Settle<T>;
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle };
}
