/**
 * The algorithms of `SlidingWindow`, `FixedWindow`, `Gcra` and `Penalty`, on the server's clock.
 *
 * A key holds doubles: a head (`1000 × algorithm + length of the penalty`), the count, the penalty.
 * - sliding: index of the newest bucket, units of all, units of the newest; then index and units of the others, newest
 *   first. As long as the bucket is the same, only the first three change: that is the path of most calls.
 * - fixed: index of the window, units. gcra: when the bucket is full again (µs).
 * - penalty: blocked until (µs), for how long (µs), how many times in a row, then when it was violated (µs), oldest first
 * Text that is anything else counts as nothing spent.
 *
 * KEYS: one per quota of each request, in order. ARGV: how many charges there are; the length of each charge and the
 * charge as `rate-limit.script-charge.ts` lists it; then the number of its charge for each request. Replies per quota: units used, ms until all are back, ms
 * until the request would be admitted, and 1 if the subject is blocked or 2 if it is from this request on.
 */
export const RATE_LIMIT = `
local SLIDING, FIXED, GCRA = 1, 2, 3
local LOOK, SPEND, SPEND_ANYWAY, REFUND, BLOCK, RESTORE = 0, 1, 2, 3, 4, 5
local BUCKETS, MAX_LEVEL = 12, 30
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local replies, rest = {}, {}

local starts, at = {}, 2
for i = 1, ARGV[1] do
  starts[i], at = at + 1, at + 1 + ARGV[at]
end

-- What most calls are comes first, without a function or a table of its own: one sliding quota that admits a call of a
-- subject without a penalty. What is anything else is left for the rest.
local place, chosen, start, is_plain = 0, false, 0, false
local capacity, step, cost, current, reset, reset_text
for i = at, #ARGV do
  if ARGV[i] ~= chosen then
    chosen = ARGV[i]
    start = starts[tonumber(chosen)]
    is_plain = ARGV[start] == '1' and ARGV[start + 1] == '1' and ARGV[start + 2] == '1'
    if is_plain then
      capacity, step, cost = tonumber(ARGV[start + 3]), tonumber(ARGV[start + 4]), tonumber(ARGV[start + 6])
      current = floor(now / step)
      reset = ceil(((current + BUCKETS + 1) * step - now) / 1000)
      reset_text = string.format('%.0f', reset)
    end
  end
  local used, units, tail
  local text = is_plain and redis.pcall('GET', KEYS[place + 1])
  if is_plain and not text then
    used, units, tail = 0, 0, ''
  elseif is_plain and type(text) == 'string' and #text >= 32 and #text % 16 == 0 then
    local head, index, spent, newest = struct.unpack('<dddd', text)
    if head == 1000 and index == current then
      used, units, tail = spent, newest, string.sub(text, 33)
    elseif head == 1000 and index < current and index >= current - BUCKETS then
      -- The first call of a bucket: those that no window can reach any more go.
      local last, oldest, gone = #text, struct.unpack('<dd', text, #text - 15)
      while last > 32 and oldest < current - BUCKETS do
        spent, last = spent - gone, last - 16
        oldest, gone = struct.unpack('<dd', text, last - 15)
      end
      used, units, tail = spent, 0, struct.pack('<dd', index, newest) .. string.sub(text, 33, last)
    elseif head == 1000 and index < current then
      used, units, tail = 0, 0, ''
    end
  end
  if used and used + cost <= capacity then
    used = used + cost
    local kept = struct.pack('<dddd', 1000, current, used, units + cost) .. tail
    redis.call('SET', KEYS[place + 1], kept, 'PX', reset_text)
    local n = place * 4
    replies[n + 1], replies[n + 2], replies[n + 3], replies[n + 4] = used, reset, 0, 0
    place = place + 1
  else
    rest[#rest + 1] = { start, place }
    place = place + ARGV[start + 1]
  end
end
if #rest == 0 then return replies end

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

local function open(q, key, text)
  local values, penalty, last = {}, nil, 0
  if text and #text % 8 == 0 and #text > 0 then
    values = { struct.unpack('<' .. string.rep('d', #text / 8), text) }
    local length = values[1] - 1000 * q.algorithm
    last = #text / 8 - length
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
local function store(q, state)
  local values = counts[q.algorithm].values(state.count)
  local ttl = max(counts[q.algorithm].ms_until(q, state.count, 0), ms_of_penalty(q, state.penalty))
  if ttl == 0 then return redis.call('DEL', state.key) end
  table.insert(values, 1, 1000 * q.algorithm + (state.penalty and #state.penalty or 0))
  for _, value in ipairs(state.penalty or {}) do values[#values + 1] = value end
  redis.call('SET', state.key, pack(values), 'PX', ttl)
end
-- Another type than text counts as nothing, too.
local function read(key)
  local text = redis.pcall('GET', key)
  return type(text) == 'string' and text
end
local function reply(place, used, reset, retry, blocked)
  local n = place * 4
  replies[n - 3], replies[n - 2], replies[n - 1], replies[n] = used, reset, retry, blocked
end

local function charge_at(cursor)
  local function argument()
    cursor = cursor + 1
    return tonumber(ARGV[cursor - 1])
  end
  local charge = { act = argument() }
  local quotas = argument()
  if charge.act > SPEND_ANYWAY then charge.amount, charge.ago, charge.added = argument(), argument(), argument() end
  for i = 1, quotas do
    local q = { algorithm = argument(), capacity = argument(), step = argument(), after = argument(), within = 0 }
    q.cost = argument()
    q.shadow = q.after < 0
    if q.shadow then q.after = -1 - q.after end
    if q.after > 0 then q.within, q.block, q.max = argument(), argument(), argument() end
    charge[i] = q
  end
  return charge
end

-- All quotas of a request admit it, or it is refused.
local function decide(charge, first)
  local states, refused = {}, false
  for i, q in ipairs(charge) do
    local state = open(q, KEYS[first + i], read(KEYS[first + i]))
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
    reply(first + i, state.count.used, max(reset, state.blocked), retry, imposed and 2 or state.blocked > 0 and 1 or 0)
  end
end

local function change(charge, first)
  for i, q in ipairs(charge) do
    local state = open(q, KEYS[first + i], read(KEYS[first + i]))
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
    reply(first + i, state.count.used, 0, 0, 0)
  end
end

for _, request in ipairs(rest) do
  local charge, first = charge_at(request[1]), request[2]
  if charge.act <= SPEND_ANYWAY then decide(charge, first) else change(charge, first) end
end
return replies
`;
