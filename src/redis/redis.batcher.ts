import { BatchTurn } from './batch-turn.ts';
import type { RedisClient } from './redis.client.ts';
import { replyCodeOf } from './redis.outcome.ts';
import { evaluate, type KeyedScript, type RawReply, type ScriptArgument } from './redis.script.ts';

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

const MAX_KEYS = 128;
/** Larger batches would keep the server, and everybody who waits for it, busy for too long. */
const MAX_BYTES = 1024 ** 2;

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
interface Call extends Request<unknown> {
  readonly script: KeyedScript<unknown>;
  readonly args: readonly ScriptArgument[];
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

  /** @throws RangeError when the number of arguments is not the script's: it would shift those of the other calls */
  run<R>(script: KeyedScript<R>, key: string, args: readonly ScriptArgument[]): Promise<R> {
    return new Promise<unknown>((resolve, reject) => {
      if (args.length !== script.arity) {
        throw new RangeError(`${script.name} takes ${script.arity} arguments, not ${args.length}`);
      }
      this.#calls.push({ script, key, args, resolve, reject });
      this.#bytes += sizeOf(args);
      this.#schedule();
    }) as Promise<R>;
  }

  #schedule(): void {
    const isFull = this.#reads.length + this.#calls.length >= MAX_KEYS || this.#bytes >= MAX_BYTES;
    if (isFull) this.#flush();
    else this.#turn.schedule();
  }

  #flush(): void {
    const [reads, calls] = [this.#reads, this.#calls];
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
    else for (const call of group.calls) this.#callTogether({ ...group, calls: [call] });
  }

  #callTogether(group: Group): void {
    const { script, shared, calls } = group;
    const keys = calls.map((call) => call.key);
    const args = [...shared];
    for (const call of calls) for (let at = script.shared; at < script.arity; at++) args.push(call.args[at] ?? '');
    this.#send(script.name, keys[0], (client) => orRefused(evaluate(client, script, keys, args), keys), {
      resolve: (replies) => {
        if (replies === REFUSED) this.#oneByOne(() => this.#call(group));
        else calls.forEach((call, index) => this.#answer(call, replies[index] ?? null));
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

  #answer({ script, resolve, reject }: Call, reply: RawReply): void {
    try {
      if (reply instanceof Error) throw this.transport.fail(script.name, reply);
      resolve(script.reply(reply));
    } catch (error) {
      reject(error);
    }
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

/** Calls that can travel together: of one script, and with the same shared arguments. */
interface Group {
  readonly script: KeyedScript<unknown>;
  readonly shared: readonly ScriptArgument[];
  readonly calls: Call[];
}

function groupsOf(calls: readonly Call[]): readonly Group[] {
  const groups: Group[] = [];
  for (const call of calls) {
    const group = groups.findLast((other) => accepts(other, call) || concerns(other, call.key));
    if (group !== undefined && accepts(group, call)) group.calls.push(call);
    else groups.push({ script: call.script, shared: call.args.slice(0, call.script.shared), calls: [call] });
  }
  return groups;
}

/** What is asked for one key happens in the order in which it was asked: a call does not join a group before another. */
const concerns = ({ calls }: Group, key: string): boolean => calls.some((call) => call.key === key);

const accepts = ({ script, shared }: Group, call: Call): boolean =>
  script === call.script && shared.every((arg, index) => arg === call.args[index]);

const answer = ({ reply, resolve }: Read, raw: Buffer | null): void => resolve(reply === undefined ? raw : reply(raw));

function orRefused<T>(reply: Promise<T>, keys: readonly string[]): Promise<T | typeof REFUSED> {
  if (keys.length === 1) return reply;
  return reply.catch((error: unknown) => {
    if (replyCodeOf(error) === 'CROSSSLOT') return REFUSED;
    throw error;
  });
}

function sizeOf(args: readonly ScriptArgument[]): number {
  let bytes = 0;
  for (const arg of args) if (typeof arg !== 'number') bytes += arg.length;
  return bytes;
}
