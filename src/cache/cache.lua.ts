import { decodeEntry } from './cache-entry.ts';
import type { Acquisition, KeyDescription } from './cache-store.interface.ts';
import { defineScript, type RawReply } from '../redis/redis.script.ts';

/*
 * The scripts of the cache store. Positions are those of cache-entry.ts, counted from 1 in Lua strings and from 0 in
 * GETRANGE and SETRANGE. Each reads the server's clock, never a client's. Times among the arguments are milliseconds;
 * `wakes` and `notices` are channels, an empty notice is not sent.
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
 * `distrusted` is a version, or '', or 'corrupt' for what its reader could make no sense of.
 * The first 16 characters of a token are the stamp of what its holder had seen of tags and epochs: whoever has seen a
 * newer one takes the lease over, because the running factory began before that invalidation.
 */
export const ACQUIRE = defineScript<Acquisition>({
  name: 'cache.acquire',
  args: ['token', 'lease', 'distrusted'],
  reply: acquisitionOf,
  body: `
local now, lease = clock(), tonumber(lease)
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

/** Answers 0 when the lease is gone: deleted, overwritten or taken over. */
export const RENEW = defineScript<boolean>({
  name: 'cache.renew',
  args: ['token', 'lease'],
  reply: isOne,
  body: `
if redis.call('GETRANGE', key, 4, 35) ~= token then return 0 end
local now, lease = clock(), tonumber(lease)
redis.call('SETRANGE', key, 36, string.format('%013d', now + lease))
if redis.call('PTTL', key) < lease then redis.call('PEXPIRE', key, lease) end
return 1`,
});

/**
 * Version and header of a new value. The version never goes backwards, also when the server's clock does; it has 16
 * digits until the year 2286, so versions are compared as text.
 */
const BUILD = `
local NO_LEASE = '~1V0' .. string.rep('-', 32) .. string.rep('0', 13)
local function headerOf(ttl, keep, previous)
  local now, version = clock()
  if previous and previous >= version then version = previous + 1 end
  return NO_LEASE .. string.format('%013d%013d%016.0f', now + ttl, now + keep, version)
end
local function versionOf(head)
  return string.sub(head, 1, 3) == '~1V' and tonumber(string.sub(head, 76, 91))
end
-- wakes who waits for the key in other processes, with the entry when it is small enough to send around
local function wake(key, entry)
  if #entry > 65536 then entry = '' end
  redis.call('PUBLISH', wakes, string.format('%06d', #key) .. key .. entry)
end`;

/** Stores only while the lease is still the caller's. */
export const FILL = defineScript<boolean>({
  name: 'cache.fill',
  shared: ['wakes'],
  args: ['token', 'ttl', 'keep', 'body'],
  reply: isOne,
  prelude: BUILD,
  body: `
local head = redis.call('GETRANGE', key, 0, 90)
if string.sub(head, 5, 36) ~= token then return 0 end
local entry = headerOf(ttl, keep, versionOf(head)) .. body
redis.call('SET', key, entry, 'PX', keep)
if string.sub(head, 4, 4) == '1' then wake(key, entry) end
return 1`,
});

/**
 * Gives the lease back without a value, so that a waiter tries at once. `corrupt` is the version of a value that its
 * holder could not read, or 'corrupt', or '': such a value is not left for the next one to stumble over.
 */
export const ABANDON = defineScript<boolean>({
  name: 'cache.abandon',
  shared: ['wakes'],
  args: ['token', 'corrupt'],
  reply: isOne,
  prelude: BUILD,
  body: `
local head = redis.call('GETRANGE', key, 0, 90)
if string.sub(head, 5, 36) ~= token then return 0 end
local isCorrupt = corrupt == 'corrupt' or string.sub(head, 76, 91) == corrupt
if string.sub(head, 3, 3) == 'L' or isCorrupt then redis.call('DEL', key)
else redis.call('SETRANGE', key, 3, '0' .. string.rep('-', 32) .. string.rep('0', 13)) end
if string.sub(head, 4, 4) == '1' then wake(key, '') end
return 1`,
});

/**
 * Overwrites whatever is there and takes any lease away. All values of one trip have the same times, stamps and
 * codec: what stands before the payload is made once.
 */
export const WRITE = defineScript<boolean>({
  name: 'cache.write',
  shared: ['wakes', 'notices', 'ttl', 'keep', 'head'],
  args: ['payload', 'notice'],
  reply: isOne,
  prelude: `${BUILD}
local header = headerOf(ttl, keep) .. head
local version = string.sub(header, 76, 91)
-- what was overwritten is of another type, which GET does not read, or leased, awaited or from the clock's future
local function displace(old, key, payload)
  local previous = type(old) == 'string' and versionOf(old)
  local entry = headerOf(ttl, keep, previous) .. head .. payload
  redis.call('SET', key, entry, 'PX', keep)
  if type(old) == 'string' and string.sub(old, 1, 2) == '~1' and string.sub(old, 4, 4) == '1' then wake(key, entry) end
end`,
  body: `
local entry = header .. payload
local old = redis.pcall('SET', key, entry, 'PX', keep, 'GET')
-- most keys were free, or held an older entry for which nobody waits
if old and (type(old) == 'table' or string.sub(old, 1, 4) ~= '~1V0' or string.sub(old, 76, 91) >= version) then
  displace(old, key, payload)
end
if notice ~= '' then redis.call('PUBLISH', notices, notice) end
return 1`,
});

/** Removes a key of any type, with its lease. */
export const REMOVE = defineScript<boolean>({
  name: 'cache.del',
  shared: ['notices'],
  args: ['notice'],
  reply: isOne,
  body: `
local removed = redis.call('UNLINK', key)
if notice ~= '' then redis.call('PUBLISH', notices, notice) end
return removed`,
});

/**
 * The version of a tag or epoch, created when there is none; kept at least as long as the entries that will carry it.
 * Twice as long from the start, so that it is rarely written: each write is told to all who track it.
 */
export const CAPTURE = defineScript<string>({
  name: 'cache.capture',
  args: ['keep'],
  reply: textOf,
  body: `
local version = redis.call('GET', key)
if not version then
  local _, us = clock()
  version = string.format('%016.0f', us) .. '.' .. string.rep('0', 16)
  redis.call('SET', key, version, 'PX', 2 * keep)
elseif redis.call('PTTL', key) < tonumber(keep) then
  redis.call('PEXPIRE', key, 2 * keep)
end
return version`,
});

/**
 * `mode` is 'delete' or 'expire'. A version is two numbers, `deleted.expired`: entries with an older first one are gone, with an older second one stale.
 * The second one is 0 until the first invalidation.
 */
export const BUMP = defineScript<string>({
  name: 'cache.bump',
  shared: ['mode', 'keep', 'notices'],
  args: ['notice'],
  reply: textOf,
  body: `
local old = redis.call('GET', key) or string.rep('0', 16) .. '.' .. string.rep('0', 16)
local _, us = clock()
local last = math.max(tonumber(string.sub(old, 1, 16)), tonumber(string.sub(old, 18, 33)))
local now = string.format('%016.0f', math.max(us, last + 1))
local version = mode == 'delete' and now .. '.' .. now or string.sub(old, 1, 16) .. '.' .. now
redis.call('SET', key, version, 'PX', math.max(redis.call('PTTL', key), tonumber(keep)))
if notice ~= '' then redis.call('PUBLISH', notices, notice) end
return version`,
});

/** What kind of data a key holds, as TYPE names it, and its PTTL. */
export const DESCRIBE = defineScript<KeyDescription>({
  name: 'cache.describe',
  reply: (raw) => {
    const [type, pttl] = raw as readonly RawReply[];
    return { type: textOf(type ?? null), pttlMs: Number(pttl) };
  },
  body: `return { redis.call('TYPE', key)['ok'], redis.call('PTTL', key) }`,
});

/** Gives a key of any type a new time to live; an entry keeps its grace. Answers 0 when there is none. */
export const EXPIRE = defineScript<boolean>({
  name: 'cache.expire',
  shared: ['ttl', 'notices'],
  args: ['notice'],
  reply: isOne,
  body: `
if notice ~= '' then redis.call('PUBLISH', notices, notice) end
local head = redis.pcall('GETRANGE', key, 0, 74)
if type(head) ~= 'table' and string.sub(head, 1, 3) == '~1L' then return 0 end
if type(head) == 'table' or string.sub(head, 1, 3) ~= '~1V' then return redis.call('PEXPIRE', key, ttl) end
local now, ttl = clock(), tonumber(ttl)
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

/** Processes only estimate this clock: what is stale now has to be so to all of them. */
const CLOCK_DOUBT_MS = 1_000;

/** Ends the freshness of an entry, which is kept for its grace. Answers 0 when there is no entry. */
export const SPOIL = defineScript<boolean>({
  name: 'cache.spoil',
  shared: ['notices'],
  args: ['notice'],
  reply: isOne,
  body: `
if notice ~= '' then redis.call('PUBLISH', notices, notice) end
local head = redis.pcall('GETRANGE', key, 0, 61)
if type(head) == 'table' or string.sub(head, 1, 3) ~= '~1V' then return 0 end
local past = clock() - ${CLOCK_DOUBT_MS}
if past < (tonumber(string.sub(head, 50, 62)) or 0) then redis.call('SETRANGE', key, 49, string.format('%013d', past)) end
return 1`,
});
