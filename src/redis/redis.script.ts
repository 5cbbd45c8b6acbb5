import { createHash } from 'node:crypto';
import type { RedisClient } from './redis.client.ts';
import { replyCodeOf } from './redis.outcome.ts';

/** One raw reply as the server sent it: bulk strings arrive as Buffers. */
export type RawReply = Buffer | number | null | Error | readonly RawReply[];

export type ScriptArgument = string | number | Buffer;

/**
 * A Lua script that acts on one key. Calls of one event-loop turn travel as one script call where the server
 * allows several keys in a command, so a script must not assume that it runs alone.
 */
export interface KeyedScript<R> {
  /** `capability.act`, as shown in errors and metrics. */
  readonly name: string;
  /** How many arguments every call passes: first the shared ones, then those of its key. */
  readonly arity: number;
  /** How many of them are the same for all calls that travel together. */
  readonly shared: number;
  readonly lua: string;
  readonly sha: string;
  readonly reply: (raw: RawReply) => R;
}

export interface ScriptDefinition<R> {
  readonly name: string;
  /** Lua names of the arguments that calls of one trip share; the first ones that every call passes. */
  readonly shared?: readonly string[];
  /** Lua names of the arguments of one key. */
  readonly args?: readonly string[];
  /** Lua that runs once per trip, before the first key; it sees the shared arguments. */
  readonly prelude?: string;
  /**
   * Lua that runs once per key: `key` is the full key; arguments are strings. `clock()` gives the milliseconds and
   * microseconds of the server's clock.
   */
  readonly body: string;
  /** Turns the raw reply of one key into what the store wants. */
  readonly reply: (raw: RawReply) => R;
}

/** Declares a script. Its texts are constants: nothing is ever interpolated into them. */
export function defineScript<R>(definition: ScriptDefinition<R>): KeyedScript<R> {
  const { name, reply, shared = [], args = [] } = definition;
  const arity = shared.length + args.length;
  return { name, arity, shared: shared.length, reply, ...scriptOf(forEveryKey(definition)) };
}

/** A script that is sent as it is. */
export type Script = Pick<KeyedScript<unknown>, 'lua' | 'sha'>;

export const scriptOf = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

/** Runs the body for each key with its share of the arguments; the failure of one key does not touch the others. */
const forEveryKey = ({ shared = [], args = [], prelude = '', body }: ScriptDefinition<unknown>): string => `
${shared.map((name, index) => `local ${name} = ARGV[${index + 1}]`).join('\n')}
local ms, us
-- The clock stands still while a script runs.
local function clock()
  if not ms then
    local time = redis.call('TIME')
    ms, us = time[1] * 1000 + math.floor(time[2] / 1000), time[1] * 1000000 + time[2]
  end
  return ms, us
end
${prelude.trim()}
local function item(${['key', ...args].join(', ')})
${body.trim()}
end
local replies, at = {}, ${shared.length}
for i = 1, #KEYS do
  local ok, reply = pcall(${['item', 'KEYS[i]', ...args.map((_, index) => `ARGV[at + ${index + 1}]`)].join(', ')})
  at = at + ${args.length}
  if ok then
    -- A nil would end the array there, and every later key would lose its reply.
    if reply == nil then reply = false end
    replies[i] = reply
  elseif type(reply) == 'table' then replies[i] = reply
  else replies[i] = { err = tostring(reply) } end
end
return replies
`;

/** Runs a script; a server that does not know it (any more) gets its source, as it has not run then. */
export function evaluate(
  client: RedisClient,
  { sha, lua }: Script,
  keys: readonly string[],
  args: readonly ScriptArgument[],
): Promise<readonly RawReply[]> {
  const reply = client.callBuffer('EVALSHA', [sha, keys.length, ...keys, ...args]);
  return reply.catch((error: unknown) => {
    if (replyCodeOf(error) !== 'NOSCRIPT') throw error;
    return client.callBuffer('EVAL', [lua, keys.length, ...keys, ...args]);
  }) as Promise<readonly RawReply[]>;
}
