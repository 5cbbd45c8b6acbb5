/*
 * One string per resource: the last fence given while it is free, else packed that fence, who holds the resource, who
 * waits for it. Whatever removes the string removes all of it, so there is never a queue without its lock.
 *
 * holder: { token, end of the lease, limit, fence }
 * place in the queue: { token, when it asked, end of its place, limit, channel of its process, callers behind it }
 * All times are the server's, in ms.
 *
 * The fence is max(last + 1, server time in µs), so it grows even when `last` is gone: whatever removed the record,
 * the clock has passed the moment of the last grant. That argument needs a clock that is not set back, and so the
 * record outlives its lease by `memory`: until then `last` counts, whatever the clock does. An expiry date is an
 * absolute time on the same clock, so a clock set back keeps the record longer, too. Only data loss together with
 * a clock that falls behind the last grant could repeat a fence.
 */

const LOOK = `
local now, micros = clock()
local stored = redis.call('GET', key)
-- Undefined unless nobody holds it, nor waits for it.
local free = not stored and 0 or tonumber(stored)
`;

/** Makes sense of the record as it is now: what has ended is left out. */
const READ = `
local fence, holders, queue = free, {}, {}
if not free then fence, holders, queue = unpack(cmsgpack.unpack(stored)) end
for i = #holders, 1, -1 do
  if holders[i][2] <= now then table.remove(holders, i) end
end
for i = #queue, 1, -1 do
  if queue[i][3] <= now then table.remove(queue, i) end
end

local function indexOf(list, token)
  for i = 1, #list do
    if list[i][1] == token then return i end
  end
end

local function save(memory)
  if not holders[1] and not queue[1] then
    redis.call('SET', key, string.format('%.0f', fence), 'PX', memory)
    return
  end
  local ends = now
  for i = 1, #holders do ends = math.max(ends, holders[i][2]) end
  for i = 1, #queue do ends = math.max(ends, queue[i][3]) end
  redis.call('SET', key, cmsgpack.pack({ fence, holders, queue }), 'PX', ends - now + memory)
end
`;

/** Grants leases and serves the queue. */
const GRANT = `
-- Everybody's limit counts: one who wants to be alone is alone.
local function fits(limit)
  for i = 1, #holders do limit = math.min(limit, holders[i][3]) end
  return #holders < limit
end

local function grant(token, ttl, limit, atLeast)
  fence = math.max(fence + 1, micros, atLeast)
  holders[#holders + 1] = { token, now + ttl, limit, fence }
  return fence
end

-- Hands the key to those in front for as long as they may hold it together; returns the fence of 'own'.
local function serve(claim, own, ttl, atLeast)
  local granted
  while queue[1] and fits(queue[1][4]) do
    local first = table.remove(queue, 1)
    if first[1] == own then
      granted = grant(own, ttl, first[4], atLeast)
    else
      grant(first[1], claim, first[4], 0)
      -- Who may not hear of it looks for itself.
      redis.pcall('PUBLISH', first[5], first[1])
    end
  end
  return granted
end

-- Those who asked first stand first; 'slack' lets a place in before others that asked a little earlier.
local function enqueue(place, slack)
  local old = indexOf(queue, place[1])
  if old then table.remove(queue, old) end
  local at = #queue + 1
  if queue[1] and place[2] <= queue[1][2] + slack then at = 1 end
  while at > 1 and queue[at - 1][2] > place[2] do at = at - 1 end
  table.insert(queue, at, place)
end

-- One who wants to be alone waits for all holders, others for the first of them.
local function remaining(limit)
  local ends
  for i = 1, #holders do
    local other = holders[i][2]
    if not ends or (limit == 1 and other > ends) or (limit > 1 and other < ends) then ends = other end
  end
  return (ends or now) - now
end
`;

/**
 * KEYS: resource. ARGV: token, ttl, limit, least fence, how long to keep the place in the queue (0: take none), age of
 * the question, callers, channel, claim, memory. Replies {1, fence}, or {0, ms until the holder's lease ends}.
 */
export const ACQUIRE = `
${LOOK}
if free then
  -- Nobody is in the way: most locks are taken here.
  local ttl, fence = tonumber(arg[2]), math.max(free + 1, micros, tonumber(arg[4]))
  local record = { fence, { { arg[1], now + ttl, tonumber(arg[3]), fence } }, {} }
  redis.call('SET', key, cmsgpack.pack(record), 'PX', ttl + tonumber(arg[10]))
  return { 1, fence }
end
${READ}${GRANT}
local token, ttl, limit, atLeast = arg[1], tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])
local keep, claim = tonumber(arg[5]), tonumber(arg[9])

local granted
local own = holders[indexOf(holders, token)]
if own then
  -- Our own lease: handed to us, or the reply to an earlier request was lost.
  own[2] = math.max(own[2], now + ttl)
  if own[4] < atLeast then
    fence = math.max(fence + 1, atLeast)
    own[4] = fence
  end
  granted = own[4]
elseif keep > 0 then
  enqueue({ token, now - tonumber(arg[6]), now + keep, limit, arg[8], tonumber(arg[7]) }, 0)
  granted = serve(claim, token, ttl, atLeast)
else
  serve(claim)
  if not queue[1] and fits(limit) then granted = grant(token, ttl, limit, atLeast) end
end

save(tonumber(arg[10]))
if granted then return { 1, granted } end
return { 0, remaining(limit) }
`;

/** KEYS: resource. ARGV: token, ttl, memory. Replies 1, or 0 when the token does not hold the lease. */
export const EXTEND = `
${LOOK}${READ}
local own = holders[indexOf(holders, arg[1])]
if not own then return 0 end
-- Never shorter: two extensions may arrive in either order.
own[2] = math.max(own[2], now + tonumber(arg[2]))
save(tonumber(arg[3]))
return 1
`;

/** KEYS: resource. ARGV: token, claim, memory. Replies 1, or 0 when the token does not hold the lease. */
export const RELEASE = `
${LOOK}
if free then return 0 end
local last, held, waiting = unpack(cmsgpack.unpack(stored))
if not waiting[1] and not held[2] and held[1] and held[1][1] == arg[1] and held[1][2] > now then
  -- The only holder, and nobody waits: most locks are given back here.
  redis.call('SET', key, string.format('%.0f', last), 'PX', arg[3])
  return 1
end
${READ}${GRANT}
local at, place = indexOf(holders, arg[1]), indexOf(queue, arg[1])
if not at and not place then return 0 end
if at then table.remove(holders, at) end
if place then table.remove(queue, place) end
serve(tonumber(arg[2]))
save(tonumber(arg[3]))
return at and 1 or 0
`;

/**
 * KEYS: resource. ARGV: token; then of the next one token, ttl, limit, how long to keep its place, age of its question,
 * callers, channel; slack, claim, memory. Replies {1 if the token held the lease, 1, fence of the next}, or
 * {…, 0, ms until the lease of the one before it ends}.
 */
export const HAND_OVER = `
${LOOK}${READ}${GRANT}
local at = indexOf(holders, arg[1])
if at then table.remove(holders, at) end

local token, ttl, limit = arg[2], tonumber(arg[3]), tonumber(arg[4])
local own = holders[indexOf(holders, token)]
local granted
if own then
  own[2] = math.max(own[2], now + ttl)
  granted = own[4]
else
  enqueue({ token, now - tonumber(arg[6]), now + tonumber(arg[5]), limit, arg[8], tonumber(arg[7]) }, tonumber(arg[9]))
  granted = serve(tonumber(arg[10]), token, ttl, 0)
end

save(tonumber(arg[11]))
if granted then return { at and 1 or 0, 1, granted } end
return { at and 1 or 0, 0, remaining(limit) }
`;

/** KEYS: resource. ARGV: claim, memory. Replies 1, or 0 when no lease was running. */
export const FORCE_RELEASE = `
${LOOK}${READ}${GRANT}
if #holders == 0 then return 0 end
holders = {}
serve(tonumber(arg[1]))
save(tonumber(arg[2]))
return 1
`;

/** KEYS: resource. Replies {token of the last lease, its fence, ms until the last one ends, callers waiting}, or nil. */
export const INSPECT = `
${LOOK}${READ}
local last = holders[#holders]
if not last then return false end
local ends, callers = last[2], 0
for i = 1, #holders do ends = math.max(ends, holders[i][2]) end
for i = 1, #queue do callers = callers + queue[i][6] end
return { last[1], last[4], ends - now, callers }
`;
