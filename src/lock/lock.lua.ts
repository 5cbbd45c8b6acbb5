import { CLAIM_MS, SLACK_MS } from './lock-store.interface.ts';

/*
 * One packed string per resource: the last fence given; while one holds it alone and nobody waits also its token, the
 * end of its lease and its limit; else lists of all who hold it and of all who wait. Whatever removes the string
 * removes all of it, so there is never a queue without its lock.
 *
 * holder: { token, end of the lease, limit, fence }; of one that waits for another holder also that one's token, callers
 * place in the queue: { token, when it asked, end of its place, limit, callers behind it, channel of its process }
 * turn, as it is sent: how long to keep the place, age of the question, callers, token to follow, channel
 * All times are the server's, in ms.
 *
 * The fence is max(last + 1, server time in µs), so it grows even when `last` is gone: whatever removed the record,
 * the clock has passed the moment of the last grant. That argument needs a clock that is not set back, and so the
 * record outlives its lease by MEMORY: until then `last` counts, whatever the clock does. An expiry date is an
 * absolute time on the same clock, so a clock set back keeps the record longer, too. Only data loss together with
 * a clock that falls behind the last grant could repeat a fence.
 */

/** How long the last fence is remembered after its lease: a clock set back by less cannot repeat a fence. */
const MEMORY_MS = 60_000;

const LOOK = `
local MEMORY = ${MEMORY_MS}
local now, micros = clock()
local stored = redis.call('GET', key)
local last, first, ends, most = 0
if stored then last, first, ends, most = cmsgpack.unpack(stored) end
`;

/** Makes sense of the record as it is now: what has ended is left out. */
const READ = `
local fence, holders, queue = last, {}, {}
if type(first) == 'table' then holders, queue = first, ends
elseif first then holders[1] = { first, ends, most, last } end
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

local function pack()
  local holder = holders[1]
  if queue[1] or holders[2] or (holder and holder[4] ~= fence) then return cmsgpack.pack(fence, holders, queue) end
  if holder then return cmsgpack.pack(fence, holder[1], holder[2], holder[3]) end
  return cmsgpack.pack(fence)
end

local function save()
  local ends = now
  for i = 1, #holders do ends = math.max(ends, holders[i][2]) end
  for i = 1, #queue do ends = math.max(ends, queue[i][3]) end
  redis.call('SET', key, pack(), 'PX', ends - now + MEMORY)
end
`;

/** Grants leases and serves the queue. */
const GRANT = `
-- Everybody's limit counts: one who wants to be alone is alone.
local function fits(limit)
  for i = 1, #holders do limit = math.min(limit, holders[i][3]) end
  return #holders < limit
end

local function grant(token, ttl, limit, atLeast, after, callers)
  fence = math.max(fence + 1, micros, atLeast)
  holders[#holders + 1] = { token, now + ttl, limit, fence, after, callers }
  return fence
end

-- Hands the key to those in front for as long as they may hold it together; returns the fence of 'own'.
local function serve(own, ttl, atLeast)
  local granted
  while queue[1] and fits(queue[1][4]) do
    local place = table.remove(queue, 1)
    if place[1] == own then
      granted = grant(own, ttl, place[4], atLeast)
    else
      grant(place[1], ${CLAIM_MS}, place[4], 0)
      -- Who may not hear of it looks for itself.
      redis.pcall('PUBLISH', place[6], place[1])
    end
  end
  return granted
end

-- Those who asked first stand first; 'slack' lets a place in before others that asked a little earlier.
local function enqueue(place, slack)
  local at = #queue + 1
  if queue[1] and place[2] <= queue[1][2] + slack then at = 1 end
  while at > 1 and queue[at - 1][2] > place[2] do at = at - 1 end
  table.insert(queue, at, place)
end

-- Returns 1 and the fence of a lease that runs, 2 and that of one which follows another holder's, or nothing.
local function take(token, ttl, limit, atLeast, turn, slack)
  local own = holders[indexOf(holders, token)]
  if own then
    -- Our own lease: handed to us, or the reply to an earlier request was lost.
    own[2] = math.max(own[2], now + ttl)
    if own[4] < atLeast then
      fence = math.max(fence + 1, atLeast)
      own[4] = fence
    end
    return own[5] and indexOf(holders, own[5]) and 2 or 1, own[4]
  end
  local keep, age, callers, after, channel = string.match(turn, '^(%d+) (%d+) (%d+) (%x*) (.*)$')
  if not keep then
    serve()
    if queue[1] or not fits(limit) then return end
    return 1, grant(token, ttl, limit, atLeast)
  end
  local asked, old = now - age, indexOf(queue, token)
  if old then table.remove(queue, old) end
  local holder = holders[1]
  if holder and holder[1] == after and holder[3] == 1 and limit == 1 and not holders[2]
    and (not queue[1] or asked <= queue[1][2] + ${SLACK_MS}) then
    return 2, grant(token, ttl, limit, atLeast, after, tonumber(callers))
  end
  enqueue({ token, asked, now + keep, limit, tonumber(callers), channel }, slack)
  local granted = serve(token, ttl, atLeast)
  if granted then return 1, granted end
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
 * KEYS: resource. ARGV: token, ttl, limit, least fence, turn (empty: take no place in the queue). Replies the fence of a
 * lease that runs, {2, fence} of one that follows another holder's, or {0, ms until the holder's lease ends}.
 */
export const ACQUIRE = `
${LOOK}
if not first then
  -- Nobody is in the way: most locks are taken here.
  local fence = math.max(last + 1, micros, tonumber(atLeast))
  redis.call('SET', key, cmsgpack.pack(fence, token, now + ttl, tonumber(limit)), 'PX', ttl + MEMORY)
  return fence
end
${READ}${GRANT}
local limit = tonumber(limit)
local kind, granted = take(token, tonumber(ttl), limit, tonumber(atLeast), turn, 0)
save()
if kind == 1 then return granted end
return { kind or 0, granted or remaining(limit) }
`;

/** KEYS: resource. ARGV: token, ttl. Replies 1, or 0 when the token does not hold the lease. */
export const EXTEND = `
${LOOK}${READ}
local own = holders[indexOf(holders, token)]
if not own then return 0 end
-- Never shorter: two extensions may arrive in either order.
own[2] = math.max(own[2], now + ttl)
save()
return 1
`;

/** KEYS: resource. ARGV: token. Replies 1, or 0 when the token does not hold the lease. */
export const RELEASE = `
${LOOK}
if not first then return 0 end
if first == token and ends > now then
  -- The only holder, and nobody waits: most locks are given back here.
  redis.call('SET', key, cmsgpack.pack(last), 'PX', MEMORY)
  return 1
end
${READ}${GRANT}
local at, place = indexOf(holders, token), indexOf(queue, token)
if not at and not place then return 0 end
if at then table.remove(holders, at) end
if place then table.remove(queue, place) end
serve()
save()
return at and 1 or 0
`;

/**
 * KEYS: resource. ARGV: token; then of the next one token, ttl, limit, turn. Replies {1 if the token held the lease},
 * followed by 1 and the fence of the next lease, 2 and its fence if it follows another holder's, or 0 and ms until the
 * lease of the one before it ends.
 */
export const HAND_OVER = `
${LOOK}${READ}${GRANT}
local at = indexOf(holders, token)
if at then table.remove(holders, at) end
local limit = tonumber(limit)
local kind, granted = take(following, tonumber(ttl), limit, 0, turn, ${SLACK_MS})
save()
return { at and 1 or 0, kind or 0, granted or remaining(limit) }
`;

/** KEYS: resource. Replies 1, or 0 when no lease was running. */
export const FORCE_RELEASE = `
${LOOK}${READ}${GRANT}
if #holders == 0 then return 0 end
holders = {}
serve()
save()
return 1
`;

/**
 * KEYS: resource. Replies {token of the last lease that runs, its fence, ms until the last one ends, callers waiting},
 * or nil.
 */
export const INSPECT = `
${LOOK}${READ}
local shown, ends, callers = nil, now, 0
for i = 1, #holders do
  local holder = holders[i]
  ends = math.max(ends, holder[2])
  if holder[5] and indexOf(holders, holder[5]) then callers = callers + holder[6] else shown = holder end
end
if not shown then return false end
for i = 1, #queue do callers = callers + queue[i][5] end
return { shown[1], shown[4], ends - now, callers }
`;
