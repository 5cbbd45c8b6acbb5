/**
 * The algorithms of `SlidingWindow`, `FixedWindow`, `Gcra` and `Penalty`, on the server's clock.
 *
 * A key holds a hash. As a rule its one field is named by the number of the bucket (sliding) or window (fixed) that was
 * spent in last, and holds all units that count: most calls do no more than to raise it. Beside it stands, for sliding,
 * `o`: the units of the twelve buckets before that one, the latest first. What has a penalty, and gcra, is in a field `s`
 * instead, as doubles: a head (`1000 × algorithm + length of the penalty`), the count, the penalty.
 * - sliding: index of the newest bucket, units of all, units of the newest; then index and units of the others, newest
 *   first. fixed: index of the window, units. gcra: when the bucket is full again (µs).
 * - penalty: blocked until (µs), for how long (µs), how many times in a row, then when it was violated (µs), oldest first
 * A key that holds anything else counts as nothing spent.
 *
 * KEYS: one per quota of each request, in order. ARGV: for each group of requests that are alike how many there are, and
 * their charge as `rate-limit.script-charge.ts` lists it.
 *
 * Replies per group: for each quota ms until all units are back, then a figure per key. That is what is used now, and
 * nothing else is to be said; or `-n`: the n-th record behind all groups has the units used, ms until all are back, ms
 * until the request would be admitted, and 1 if the subject is blocked or 2 if it is from this request on.
 */
export const RATE_LIMIT = `
local ADMIT, BUCKETS = '6', 12
local floor, ceil = math.floor, math.ceil

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- Until all units are back when the latest of them are spent now.
local function reset_after(algorithm, step)
  return ceil(((floor(now / step) + (algorithm == '1' and BUCKETS + 1 or 1)) * step - now) / 1000)
end

-- What most calls are is done without a function or a table of its own: one sliding or fixed quota that admits one more
-- request in its newest bucket or window. The first request that is anything else stops it: they are done in order.
local replies, done, used = {}, 0, nil
if ARGV[2] == ADMIT and ARGV[3] == '1' then
  local requests, capacity, step, cost_text = tonumber(ARGV[1]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
  local cost, field = tonumber(cost_text), string.format('%.0f', floor(now / step))
  replies[1] = reset_after(ARGV[4], step)
  while done < requests do
    used = redis.pcall('HINCRBY', KEYS[done + 1], field, cost_text)
    if type(used) ~= 'number' or used <= cost or used > capacity then break end
    done = done + 1
    replies[done + 1] = used
  end
  if done == requests then
    if not ARGV[8] then return replies end
    used = nil
  end
end

local function quota_at(at)
  local algorithm, capacity, step, cost = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local current = floor(now / step)
  return {
    is_sliding = algorithm == '1', capacity = tonumber(capacity), cost = tonumber(cost), cost_text = cost,
    current = current, field = string.format('%.0f', current), reset = reset_after(algorithm, step),
  }
end

-- The twelve buckets before the newest one hold less than 2^32 units each.
local MOST, BEFORE = 4294967295, '<I4I4I4I4I4I4I4I4I4I4I4I4'
local function units_in(before)
  if before and #before == 4 * BUCKETS then return { struct.unpack(BEFORE, before) } end
  return {}
end

-- The first call of a subject, or of a bucket or window: what was the newest one is one of the others then. A field 's',
-- whose name is no number, is left for the rest.
local function turn(key, q)
  local fields = redis.call('HGETALL', key)
  local index, used, before
  for at = 1, #fields, 2 do
    if fields[at] == 'o' then before = fields[at + 1]
    elseif fields[at] ~= q.field then index, used = tonumber(fields[at]), tonumber(fields[at + 1]) end
  end
  if not index and #fields == 2 then
    redis.call('PEXPIRE', key, q.reset)
    return q.cost
  end
  local age = index and q.current - index
  if not age or age < 0 or not used or used > MOST then return end
  local kept = 0
  if q.is_sliding and age <= BUCKETS then
    local units, newest = units_in(before), used
    for at = 1, BUCKETS do
      newest = newest - (units[at] or 0)
      if at + age <= BUCKETS then kept = kept + (units[at] or 0) end
    end
    if newest < 0 then return end
    kept = kept + newest
    before = string.rep('\\0', 4 * (age - 1)) .. struct.pack('<I4', newest) .. (units[1] and before or '')
    before = string.sub(before .. string.rep('\\0', 4 * BUCKETS), 1, 4 * BUCKETS)
  end
  if kept + q.cost > q.capacity then return end
  redis.call('DEL', key)
  if kept > 0 then redis.call('HSET', key, q.field, kept + q.cost, 'o', before)
  else redis.call('HSET', key, q.field, q.cost_text) end
  redis.call('PEXPIRE', key, q.reset)
  return kept + q.cost
end

-- What is used then, or nothing, when nothing was done. 'used': what raising the field has given already.
local function admit(key, q, used)
  used = used or redis.pcall('HINCRBY', key, q.field, q.cost_text)
  if type(used) ~= 'number' then return end
  if used > q.cost then
    if used <= q.capacity then return used end
    redis.call('HINCRBY', key, q.field, -q.cost)
  else
    local turned = used == q.cost and turn(key, q)
    if turned then return turned end
    redis.call('HDEL', key, q.field)
  end
end

local size, place, at, rest = 0, 0, 1, nil
while ARGV[at] do
  local start, requests, act, count = at + 1, tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
  local quotas = {}
  if act == ADMIT then
    for i = 1, count do
      quotas[i] = quota_at(at + 4 * i - 1)
      replies[size + i] = quotas[i].reset
    end
    at = at + 3 + 4 * count
  else
    for i = 1, count do replies[size + i] = 0 end
    at = at + (act > '2' and 6 or 3)
    for _ = 1, count do at = at + (ARGV[at + 4] == '0' and 5 or 8) end
  end
  size = size + count
  for request = 1, requests do
    local admitted = request <= done and count or 0
    while quotas[admitted + 1] do
      used = admit(KEYS[place + admitted + 1], quotas[admitted + 1], used)
      if not used then break end
      admitted = admitted + 1
      replies[size + admitted], used = used, nil
    end
    if admitted < count then
      for i = 1, admitted do redis.call('HINCRBY', KEYS[place + i], quotas[i].field, -quotas[i].cost) end
      rest = rest or {}
      rest[#rest + 1] = { start, place + 1, size + 1 }
    end
    place, size = place + count, size + count
  end
  done = 0
end
if not rest then return replies end

local SLIDING, FIXED, GCRA = 1, 2, 3
local LOOK, SPEND, SPEND_ANYWAY, REFUND, BLOCK = 0, 1, 2, 3, 4
local MAX_LEVEL = 30
local max, min = math.max, math.min

local function until_ms(time_us) return max(0, ceil((time_us - now) / 1000)) end
local function pack(values) return struct.pack('<' .. string.rep('d', #values), unpack(values)) end

-- What each algorithm does with its count 'c' under a quota 'q'. A clock that was set back leaves times in the future:
-- they are pulled back to now, and 'c.moved' says that it has to be stored, or each look would move them further.
local counts = {}

counts[SLIDING] = {
  open = function(q, values, last)
    local c = { used = 0 }
    local current = floor(now / q.step)
    local function keep(index, units)
      if index > current then index, c.moved = current, true end
      if index < current - BUCKETS then return end
      if c[#c - 1] == index then c[#c] = c[#c] + units else c[#c + 1] = index; c[#c + 1] = units end
      c.used = c.used + units
    end
    if last >= 4 and last % 2 == 0 then
      keep(values[2], values[4])
      for at = 5, last, 2 do keep(values[at], values[at + 1]) end
    end
    return c
  end,
  add = function(q, c, units, at_us)
    local index = min(floor((at_us or now) / q.step), floor(now / q.step))
    if index < floor(now / q.step) - BUCKETS then return end
    local at = 1
    while c[at] and c[at] > index do at = at + 2 end
    if c[at] == index then c[at + 1] = c[at + 1] + units
    else table.insert(c, at, units); table.insert(c, at, index) end
    c.used = c.used + units
  end,
  raise = function(q, c, units, at_us)
    if units > c.used then counts[SLIDING].add(q, c, units - c.used, at_us) end
  end,
  remove = function(q, c, units)
    local left = min(units, c.used)
    c.used = c.used - left
    while left > 0 do
      local taken = min(left, c[2])
      c[2], left = c[2] - taken, left - taken
      if c[2] == 0 then table.remove(c, 1); table.remove(c, 1) end
    end
  end,
  ms_until = function(q, c, units)
    local left = c.used
    if left <= units then return 0 end
    for at = #c - 1, 1, -2 do
      left = left - c[at + 1]
      if left <= units then return until_ms((c[at] + BUCKETS + 1) * q.step) end
    end
  end,
  values = function(c)
    if c.used == 0 then return {} end
    return { c[1], c.used, unpack(c, 2) }
  end,
}

counts[FIXED] = {
  open = function(q, values, last)
    local current = floor(now / q.step)
    if last < 3 or values[2] < current then return { current, used = 0 } end
    return { current, used = values[3], moved = values[2] > current }
  end,
  add = function(q, c, units) c.used = c.used + units end,
  raise = function(q, c, units, at_us)
    if floor(at_us / q.step) == c[1] then c.used = max(c.used, units) end
  end,
  remove = function(q, c, units) c.used = max(0, c.used - units) end,
  ms_until = function(q, c, units)
    if c.used <= units then return 0 end
    return until_ms((c[1] + 1) * q.step)
  end,
  values = function(c)
    if c.used == 0 then return {} end
    return { c[1], c.used }
  end,
}

counts[GCRA] = {
  open = function(q, values, last)
    local full_at = max(last >= 2 and values[2] or 0, now)
    local latest = now + q.capacity * q.step
    return { min(full_at, latest), used = ceil((min(full_at, latest) - now) / q.step), moved = full_at > latest }
  end,
  add = function(q, c, units)
    c[1] = c[1] + units * q.step
    c.used = c.used + units
  end,
  raise = function(q, c, units, at_us)
    c[1] = max(c[1], at_us + units * q.step)
    c.used = ceil((c[1] - now) / q.step)
  end,
  remove = function(q, c, units)
    c[1] = max(now, c[1] - units * q.step)
    c.used = ceil((c[1] - now) / q.step)
  end,
  ms_until = function(q, c, units) return until_ms(c[1] - units * q.step) end,
  values = function(c)
    if c.used == 0 then return {} end
    return { c[1] }
  end,
}

-- A penalty is { until, length, times in a row, violations ... } or nil.
local function left_of_block(penalty)
  return penalty and until_ms(penalty[1]) or 0
end
local function block(state, us)
  state.penalty = state.penalty or { 0, 0, 0 }
  state.penalty[1], state.penalty[2] = now + us, us
end
-- Whether the subject is blocked from now on.
local function violate(q, state)
  local old = state.penalty or { 0, 0, 0 }
  local penalty = { old[1], old[2], old[3] }
  for at = 4, #old do
    if old[at] > now - q.within and old[at] <= now then penalty[#penalty + 1] = old[at] end
  end
  penalty[#penalty + 1] = now
  state.penalty = penalty
  if #penalty - 3 < q.after then return false end
  local level = penalty[3]
  if now > penalty[1] + q.within then level = 0 end
  state.penalty = { 0, 0, min(level + 1, MAX_LEVEL) }
  block(state, min(q.block * 2 ^ level, q.max))
  return true
end
local function ms_of_penalty(q, penalty)
  if not penalty then return 0 end
  return until_ms(max(penalty[1], penalty[4] and penalty[#penalty] or 0) + q.within)
end

-- The doubles of a field 's', made of whatever a key holds.
local function values_in(q, fields)
  local kept, older, index, used
  for at = 1, #fields, 2 do
    if fields[at] == 's' then kept = fields[at + 1]
    elseif fields[at] == 'o' then older = fields[at + 1]
    else index, used = tonumber(fields[at]), tonumber(fields[at + 1]) end
  end
  if kept and #kept % 8 == 0 and #kept > 0 then
    local values = { struct.unpack('<' .. string.rep('d', #kept / 8), kept) }
    values[#values] = nil
    return values
  end
  if not index or not used or used <= 0 then return {} end
  local values = { 1000 * q.algorithm, index, used }
  if q.algorithm == FIXED then return values end
  values[4] = used
  for age, units in ipairs(units_in(older)) do
    if age <= BUCKETS and units > 0 then
      values[#values + 1] = index - age
      values[#values + 1] = units
      values[4] = values[4] - units
    end
  end
  return values[4] >= 0 and values or {}
end

local function open(q, key)
  local fields = redis.pcall('HGETALL', key)
  local values, penalty, last = values_in(q, fields.err and {} or fields), nil, 0
  if #values > 0 then
    local length = values[1] - 1000 * q.algorithm
    last = #values - length
    if length < 0 or length % 1 ~= 0 or last < 1 then
      values, last = {}, 0
    elseif length > 0 then
      penalty = { unpack(values, last + 1, last + length) }
    end
  end
  local count, moved = counts[q.algorithm].open(q, values, last), false
  if penalty and penalty[1] > now + penalty[2] then penalty[1], moved = now + penalty[2], true end
  return { key = key, penalty = penalty, count = count, moved = moved or count.moved }
end

-- The fields of a key, or nothing where they could not hold that.
local function fields_of(values)
  local fields = { string.format('%.0f', values[1]), values[2] }
  if #values <= 3 then return fields end
  local units = {}
  for age = 1, BUCKETS do units[age] = 0 end
  for at = 4, #values, 2 do
    units[values[1] - values[at]] = values[at + 1]
    if values[at + 1] > MOST then return end
  end
  fields[3], fields[4] = 'o', struct.pack(BEFORE, unpack(units))
  return fields
end

local function store(q, state)
  local values, penalty = counts[q.algorithm].values(state.count), state.penalty
  local ttl = max(counts[q.algorithm].ms_until(q, state.count, 0), ms_of_penalty(q, penalty))
  redis.call('DEL', state.key)
  if ttl == 0 then return end
  local fields = not penalty and q.algorithm ~= GCRA and fields_of(values)
  if not fields then
    table.insert(values, 1, 1000 * q.algorithm + (penalty and #penalty or 0))
    for _, value in ipairs(penalty or {}) do values[#values + 1] = value end
    fields = { 's', pack(values) }
  end
  redis.call('HSET', state.key, unpack(fields))
  redis.call('PEXPIRE', state.key, ttl)
end

local records = 0
local function reply(at, used, reset, retry, blocked)
  records = records + 1
  replies[at] = -records
  local n = size + 4 * records
  replies[n - 3], replies[n - 2], replies[n - 1], replies[n] = used, reset, retry, blocked
end

local function charge_at(cursor)
  local function argument()
    cursor = cursor + 1
    return tonumber(ARGV[cursor - 1])
  end
  local is_plain = ARGV[cursor] == ADMIT
  local charge = { act = is_plain and SPEND or tonumber(ARGV[cursor]) }
  local quotas = tonumber(ARGV[cursor + 1])
  cursor = cursor + 2
  if charge.act > SPEND_ANYWAY then charge.amount, charge.ago, charge.added = argument(), argument(), argument() end
  for i = 1, quotas do
    local q = { algorithm = argument(), capacity = argument(), step = argument(), cost = argument() }
    q.shadow, q.algorithm = q.algorithm < 0, math.abs(q.algorithm)
    q.after, q.within = is_plain and 0 or argument(), 0
    if q.after > 0 then q.within, q.block, q.max = argument(), argument(), argument() end
    charge[i] = q
  end
  return charge
end

-- All quotas of a request admit it, or it is refused.
local function decide(charge, key, at)
  local states, refused = {}, false
  for i, q in ipairs(charge) do
    local state = open(q, KEYS[key + i - 1])
    state.blocked = left_of_block(state.penalty)
    state.fits = state.blocked == 0 and state.count.used + q.cost <= q.capacity
    states[i], refused = state, refused or not (state.fits or q.shadow)
  end
  local charged = charge.act == SPEND_ANYWAY or charge.act == SPEND and not refused
  for i, q in ipairs(charge) do
    local state, count, imposed = states[i], counts[q.algorithm], false
    local changed = state.moved
    if state.fits and charged then
      count.add(q, state.count, q.cost)
      changed = true
    elseif not state.fits and charge.act ~= LOOK and q.after > 0 and state.blocked == 0 then
      imposed, changed = violate(q, state), true
      state.blocked = left_of_block(state.penalty)
    end
    -- A key that lost its TTL gets one again.
    if changed or redis.call('PTTL', state.key) == -1 then store(q, state) end
    local reset, retry = count.ms_until(q, state.count, 0), 0
    if not state.fits then retry = max(state.blocked, count.ms_until(q, state.count, q.capacity - q.cost)) end
    reply(at + i - 1, state.count.used, max(reset, state.blocked), retry, imposed and 2 or state.blocked > 0 and 1 or 0)
  end
end

local function change(charge, key, at)
  for i, q in ipairs(charge) do
    local state = open(q, KEYS[key + i - 1])
    local count = counts[q.algorithm]
    if charge.act == REFUND then
      count.remove(q, state.count, charge.amount)
    elseif charge.act == BLOCK then
      block(state, charge.amount)
    else
      count.raise(q, state.count, charge.amount, now - charge.ago)
      if charge.added > 0 then count.add(q, state.count, charge.added) end
    end
    store(q, state)
    reply(at + i - 1, state.count.used, 0, 0, 0)
  end
end

local charges = {}
for _, request in ipairs(rest) do
  local start, key, at = unpack(request)
  local charge = charges[start] or charge_at(start)
  charges[start] = charge
  if charge.act <= SPEND_ANYWAY then decide(charge, key, at) else change(charge, key, at) end
end
return replies
`;
