import { decodeEntry } from './cache-entry.ts';
import type { Acquisition, KeyDescription } from './cache-store.interface.ts';
import { defineScript, type RawReply } from '../redis/redis.script.ts';

/*
 * The scripts of the cache store. Positions are those of cache-entry.ts, counted from 1 in Lua strings and from 0 in
 * GETRANGE and SETRANGE. Each reads the server's clock, never a client's.
 */

const isOne = (raw: RawReply): boolean => raw === 1;
const textOf = (raw: RawReply): string => (Buffer.isBuffer(raw) ? raw.toString('latin1') : String(raw));

function acquisitionOf(raw: RawReply): Acquisition {
  const [answer, detail] = raw as readonly RawReply[];
  if (answer === 1) return { kind: 'found', found: decodeEntry(detail as Buffer) };
  if (answer === 2) return { kind: 'granted', atMs: Number(detail) };
  return { kind: 'held', remainingMs: Number(detail) };
}

/**
 * arg: token, lease ms, distrusted version (or '', or 'corrupt' for what its reader could make no sense of)
 * The first 16 characters of a token are the stamp of what its holder had seen of tags and epochs: whoever has seen a
 * newer one takes the lease over, because the running factory began before that invalidation.
 */
export const ACQUIRE = defineScript<Acquisition>({
  name: 'cache.acquire',
  arity: 3,
  reply: acquisitionOf,
  body: `
local token, lease, distrusted = arg[1], tonumber(arg[2]), arg[3]
local now = clock()
local mark = token .. string.format('%013d', now + lease)
local head = redis.call('GETRANGE', key, 0, 90)
local magic, kind = string.sub(head, 1, 2), string.sub(head, 3, 3)
local held, fresh = tonumber(string.sub(head, 37, 49)), tonumber(string.sub(head, 50, 62))
local isValue = magic == '~1' and kind == 'V' and held and fresh
local isLease = magic == '~1' and kind == 'L' and held

if not isValue and not isLease then
  if head ~= '' and magic ~= '~1' and distrusted ~= 'corrupt' then return { 1, redis.call('GET', key) } end
  redis.call('SET', key, '~1L0' .. mark, 'PX', lease)
  return { 2, now }
end

-- a fresh value that the caller has no reason to doubt
if isValue and fresh > now and distrusted ~= 'corrupt' and string.sub(head, 76, 91) ~= distrusted then
  return { 1, redis.call('GET', key) }
end

-- somebody else computes it, having seen at least what the caller has seen
if held > now and string.sub(head, 5, 20) >= string.sub(token, 1, 16) then
  redis.call('SETRANGE', key, 3, '1')
  return { 3, held - now }
end

-- those who wait for a lease that ended or was taken over wait on for this one
redis.call('SETRANGE', key, 4, mark)
if redis.call('PTTL', key) < lease then redis.call('PEXPIRE', key, lease) end
return { 2, now }`,
});

/** arg: token, lease ms. Answers 0 when the lease is gone: deleted, overwritten or taken over. */
export const RENEW = defineScript<boolean>({
  name: 'cache.renew',
  arity: 2,
  reply: isOne,
  body: `
if redis.call('GETRANGE', key, 4, 35) ~= arg[1] then return 0 end
local lease = tonumber(arg[2])
local now = clock()
redis.call('SETRANGE', key, 36, string.format('%013d', now + lease))
if redis.call('PTTL', key) < lease then redis.call('PEXPIRE', key, lease) end
return 1`,
});

/** Version and header of a new value; the version never goes backwards, also when the server's clock does. */
const BUILD = `
local NO_LEASE = '~1V0' .. string.rep('-', 32) .. string.rep('0', 13)
-- most values of one call have the same times: their header is written once
local times, header
local function headerOf(ttl, keep, previous)
  local now, version = clock()
  if previous and previous >= version then
    return NO_LEASE .. string.format('%013d%013d%016.0f', now + ttl, now + keep, previous + 1)
  end
  if times ~= ttl .. ':' .. keep then
    times = ttl .. ':' .. keep
    header = NO_LEASE .. string.format('%013d%013d%016.0f', now + ttl, now + keep, version)
  end
  return header
end
local function versionOf(head)
  return string.sub(head, 1, 3) == '~1V' and tonumber(string.sub(head, 76, 91))
end
-- wakes who waits for the key in other processes, with the entry when it is small enough to send around
local function wake(channel, key, entry)
  if #entry > 65536 then entry = '' end
  redis.call('PUBLISH', channel, string.format('%06d', #key) .. key .. entry)
end`;

/** shared: wake channel; arg: token, ttl ms, keep ms, body. Stores only while the lease is still the caller's. */
export const FILL = defineScript<boolean>({
  name: 'cache.fill',
  arity: 5,
  shared: 1,
  reply: isOne,
  prelude: BUILD,
  body: `
local head = redis.call('GETRANGE', key, 0, 90)
if string.sub(head, 5, 36) ~= arg[1] then return 0 end
local entry = headerOf(arg[2], arg[3], versionOf(head)) .. arg[4]
redis.call('SET', key, entry, 'PX', arg[3])
if string.sub(head, 4, 4) == '1' then wake(shared[1], key, entry) end
return 1`,
});

/** shared: wake channel; arg: token. Gives the lease back without a value, so that a waiter tries at once. */
export const ABANDON = defineScript<boolean>({
  name: 'cache.abandon',
  arity: 2,
  shared: 1,
  reply: isOne,
  prelude: BUILD,
  body: `
local head = redis.call('GETRANGE', key, 0, 48)
if string.sub(head, 5, 36) ~= arg[1] then return 0 end
if string.sub(head, 3, 3) == 'L' then redis.call('DEL', key)
else redis.call('SETRANGE', key, 3, '0' .. string.rep('-', 32) .. string.rep('0', 13)) end
if string.sub(head, 4, 4) == '1' then wake(shared[1], key, '') end
return 1`,
});

/**
 * shared: wake channel, notice channel, ttl ms, keep ms; arg: body, notice (or '')
 * Overwrites whatever is there and takes any lease away.
 */
export const WRITE = defineScript<boolean>({
  name: 'cache.write',
  arity: 6,
  shared: 4,
  reply: isOne,
  prelude: BUILD,
  body: `
local entry = headerOf(shared[3], shared[4]) .. arg[1]
local head = redis.pcall('SET', key, entry, 'PX', shared[4], 'GET')
if type(head) == 'table' then
  -- a set, hash or list, which GET does not read
  redis.call('SET', key, entry, 'PX', shared[4])
elseif head then
  local previous = versionOf(head)
  if previous and previous >= versionOf(entry) then
    entry = headerOf(shared[3], shared[4], previous) .. arg[1]
    redis.call('SET', key, entry, 'PX', shared[4])
  end
  if string.sub(head, 1, 2) == '~1' and string.sub(head, 4, 4) == '1' then wake(shared[1], key, entry) end
end
if arg[2] ~= '' then redis.call('PUBLISH', shared[2], arg[2]) end
return 1`,
});

/** arg: notice channel, notice (or ''). Removes a key of any type, with its lease. */
export const REMOVE = defineScript<boolean>({
  name: 'cache.del',
  arity: 2,
  reply: isOne,
  body: `
local removed = redis.call('UNLINK', key)
if arg[2] ~= '' then redis.call('PUBLISH', arg[1], arg[2]) end
return removed`,
});

/**
 * arg: keep ms
 * The version of a tag or epoch, created when there is none; kept at least as long as the entries that will carry it.
 * Twice as long from the start, so that it is rarely written: each write is told to all who track it.
 */
export const CAPTURE = defineScript<string>({
  name: 'cache.capture',
  arity: 1,
  reply: textOf,
  body: `
local version = redis.call('GET', key)
if not version then
  local _, us = clock()
  version = string.format('%016.0f', us) .. '.' .. string.rep('0', 16)
  redis.call('SET', key, version, 'PX', 2 * arg[1])
elseif redis.call('PTTL', key) < tonumber(arg[1]) then
  redis.call('PEXPIRE', key, 2 * arg[1])
end
return version`,
});

/**
 * arg: 'delete' or 'expire', keep ms, notice channel, notice (or '')
 * A version is two numbers, `deleted.expired`: entries with an older first one are gone, with an older second one stale.
 * The second one is 0 until the first invalidation.
 */
export const BUMP = defineScript<string>({
  name: 'cache.bump',
  arity: 4,
  reply: textOf,
  body: `
local old = redis.call('GET', key) or string.rep('0', 16) .. '.' .. string.rep('0', 16)
local _, us = clock()
local last = math.max(tonumber(string.sub(old, 1, 16)), tonumber(string.sub(old, 18, 33)))
local now = string.format('%016.0f', math.max(us, last + 1))
local version = arg[1] == 'delete' and now .. '.' .. now or string.sub(old, 1, 16) .. '.' .. now
redis.call('SET', key, version, 'PX', math.max(redis.call('PTTL', key), tonumber(arg[2])))
if arg[4] ~= '' then redis.call('PUBLISH', arg[3], arg[4]) end
return version`,
});

/** What kind of data a key holds, as TYPE names it, and its PTTL. */
export const DESCRIBE = defineScript<KeyDescription>({
  name: 'cache.describe',
  arity: 0,
  reply: (raw) => {
    const [type, pttl] = raw as readonly RawReply[];
    return { type: textOf(type ?? null), pttlMs: Number(pttl) };
  },
  body: `return { redis.call('TYPE', key)['ok'], redis.call('PTTL', key) }`,
});

/**
 * arg: ttl ms, notice channel, notice (or '')
 * Gives a key of any type a new time to live; an entry keeps its grace. Answers 0 when there is none.
 */
export const EXPIRE = defineScript<boolean>({
  name: 'cache.expire',
  arity: 3,
  reply: isOne,
  body: `
local ttl = tonumber(arg[1])
if arg[3] ~= '' then redis.call('PUBLISH', arg[2], arg[3]) end
local head = redis.pcall('GETRANGE', key, 0, 74)
if type(head) ~= 'table' and string.sub(head, 1, 3) == '~1L' then return 0 end
if type(head) == 'table' or string.sub(head, 1, 3) ~= '~1V' then return redis.call('PEXPIRE', key, ttl) end
local now = clock()
local grace = (tonumber(string.sub(head, 63, 75)) or 0) - (tonumber(string.sub(head, 50, 62)) or 0)
redis.call('SETRANGE', key, 49, string.format('%013d%013d', now + ttl, now + ttl + grace))
return redis.call('PEXPIRE', key, ttl + grace)`,
});

/** What a look at a key shows: of an entry its header with the stamps, of anything else nothing. */
export interface Inspection {
  readonly type: string;
  readonly pttlMs: number;
  readonly bytes: number;
  readonly head: Buffer;
}

/** What a key is, without its value. */
export const INSPECT = defineScript<Inspection>({
  name: 'cache.inspect',
  arity: 0,
  reply: (raw) => {
    const [type, pttl, bytes, head] = raw as readonly RawReply[];
    return { type: textOf(type ?? null), pttlMs: Number(pttl), bytes: Number(bytes), head: head as Buffer };
  },
  body: `
local type, pttl = redis.call('TYPE', key)['ok'], redis.call('PTTL', key)
if type ~= 'string' then return { type, pttl, 0, '' } end
local head = redis.call('GETRANGE', key, 0, 102)
if string.sub(head, 1, 2) ~= '~1' then return { type, pttl, redis.call('STRLEN', key), '' } end
local stamps = tonumber(string.sub(head, 99, 103)) or 0
if stamps > 0 then head = head .. redis.call('GETRANGE', key, 103, 102 + stamps) end
return { type, pttl, redis.call('STRLEN', key), head }`,
});

/**
 * arg: notice channel, notice (or '')
 * Ends the freshness of an entry, which is kept for its grace. Answers 0 when there is no entry.
 */
export const SPOIL = defineScript<boolean>({
  name: 'cache.spoil',
  arity: 2,
  reply: isOne,
  body: `
if arg[2] ~= '' then redis.call('PUBLISH', arg[1], arg[2]) end
local head = redis.pcall('GETRANGE', key, 0, 61)
if type(head) == 'table' or string.sub(head, 1, 3) ~= '~1V' then return 0 end
local now = clock()
if now < (tonumber(string.sub(head, 50, 62)) or 0) then redis.call('SETRANGE', key, 49, string.format('%013d', now)) end
return 1`,
});
