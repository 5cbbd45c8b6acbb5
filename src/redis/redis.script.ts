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
  /** How many arguments every call passes. */
  readonly arity: number;
  readonly lua: string;
  readonly sha: string;
  readonly reply: (raw: RawReply) => R;
}

export interface ScriptDefinition<R> {
  readonly name: string;
  readonly arity: number;
  /** The body of `function(key, arg)`: `key` is the full key, `arg` the list of arguments, all strings. */
  readonly body: string;
  /** Turns the raw reply of one key into what the store wants. */
  readonly reply: (raw: RawReply) => R;
}

/** Declares a script. `body` is a constant: nothing is ever interpolated into it. */
export function defineScript<R>({ name, arity, body, reply }: ScriptDefinition<R>): KeyedScript<R> {
  const lua = forEveryKey(body);
  return { name, arity, reply, lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Runs the body for each key with its share of the arguments; the failure of one key does not touch the others. */
const forEveryKey = (body: string): string => `
local function item(key, arg)
${body.trim()}
end
local arity = #ARGV / #KEYS
local replies = {}
for i = 1, #KEYS do
  local arg = {}
  for j = 1, arity do arg[j] = ARGV[(i - 1) * arity + j] end
  local ok, reply = pcall(item, KEYS[i], arg)
  if ok then
    -- A nil would end the array there, and every later key would lose its reply.
    if reply == nil then reply = false end
    replies[i] = reply
  elseif type(reply) == 'table' then replies[i] = reply
  else replies[i] = { err = tostring(reply) } end
end
return replies
`;

/** Runs a script for all keys; a server that does not know it (any more) gets its source, as it has not run then. */
export async function evaluate(
  client: RedisClient,
  script: KeyedScript<unknown>,
  keys: readonly string[],
  args: readonly ScriptArgument[],
): Promise<readonly RawReply[]> {
  const rest = [keys.length, ...keys, ...args];
  try {
    return (await client.callBuffer('EVALSHA', [script.sha, ...rest])) as readonly RawReply[];
  } catch (error) {
    if (replyCodeOf(error) !== 'NOSCRIPT') throw error;
    return (await client.callBuffer('EVAL', [script.lua, ...rest])) as readonly RawReply[];
  }
}
