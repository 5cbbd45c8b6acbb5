/*
 * One hash per resource: `token` and `until` (server time in ms) while a lease runs, and `fence`, the last one given.
 *
 * The fence is max(last + 1, server time in µs), so it grows even when `last` is gone: whatever removed the record,
 * the clock has passed the moment of the last grant. That argument needs a clock that is not set back, and so the
 * record outlives its lease by `memory`: until then `last` counts, whatever the clock does. An expiry date is an
 * absolute time on the same clock, so a clock set back keeps the record longer, too. Only data loss together with
 * a clock that falls behind the last grant could repeat a fence.
 */

/** KEYS: resource. ARGV: token, ttl, memory (ms). Replies {1, fence}, or {0, ms until the holder's lease ends}. */
export const ACQUIRE = `
local token, ttl, memory = arg[1], tonumber(arg[2]), tonumber(arg[3])
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

local record = redis.call('HMGET', key, 'token', 'until', 'fence')
local ends, fence = tonumber(record[2] or 0), tonumber(record[3] or 0)

if ends > now then
  if record[1] ~= token then return { 0, ends - now } end
  -- Our own lease: the reply to an earlier request was lost.
  ends = math.max(ends, now + ttl)
else
  ends = now + ttl
  fence = math.max(fence + 1, micros)
end

redis.call('HSET', key, 'token', token, 'until', ends, 'fence', fence)
redis.call('PEXPIRE', key, ends - now + memory)
return { 1, fence }
`;

/** KEYS: resource. ARGV: token, ttl, memory (ms). Replies 1, or 0 when the token does not hold the lease. */
export const EXTEND = `
local token, ttl, memory = arg[1], tonumber(arg[2]), tonumber(arg[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local record = redis.call('HMGET', key, 'token', 'until')
local ends = tonumber(record[2] or 0)
if record[1] ~= token or ends <= now then return 0 end

-- Never shorter: two extensions may arrive in either order.
ends = math.max(ends, now + ttl)
redis.call('HSET', key, 'until', ends)
redis.call('PEXPIRE', key, ends - now + memory)
return 1
`;

/** KEYS: resource. ARGV: token, memory (ms). Replies 1, or 0 when the token does not hold the lease. */
export const RELEASE = `
local token, memory = arg[1], arg[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local record = redis.call('HMGET', key, 'token', 'until')
if record[1] ~= token or tonumber(record[2] or 0) <= now then return 0 end

redis.call('HDEL', key, 'token', 'until')
redis.call('PEXPIRE', key, memory)
return 1
`;

/** KEYS: resource. ARGV: memory (ms). Replies 1, or 0 when no lease was running. */
export const FORCE_RELEASE = `
local memory = arg[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(redis.call('HGET', key, 'until') or 0) <= now then return 0 end

redis.call('HDEL', key, 'token', 'until')
redis.call('PEXPIRE', key, memory)
return 1
`;

/** KEYS: resource. Replies 1 while a lease runs, else 0. */
export const IS_HELD = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(redis.call('HGET', key, 'until') or 0) > now then return 1 end
return 0
`;
