/**
 * The algorithm of `SlidingWindow`, on the server's clock. The key holds two doubles per bucket, its index and the
 * units spent in it, oldest first; text of any other length counts as nothing spent.
 *
 * KEYS: subject. ARGV: limit, cost, width of a bucket (µs), 1 to spend or 0 to look.
 * Replies {1 if allowed, units used, ms until all are back, ms until the call would be allowed}.
 */
export const SLIDING_WINDOW = `
local BUCKETS, BUCKET_BYTES = 12, 16
local limit, cost, width, spend = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3]), arg[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local current = math.floor(now / width)

-- Index and units by turns.
local buckets, n, used, set_back = {}, 0, 0, false
local function add(index, units)
  if buckets[n - 1] == index then
    buckets[n] = buckets[n] + units
  else
    buckets[n + 1], buckets[n + 2] = index, units
    n = n + 2
  end
  used = used + units
end
local function until_gone(index)
  return math.ceil(((index + BUCKETS + 1) * width - now) / 1000)
end
local function form(count)
  return '<' .. string.rep('dd', count)
end

local text = redis.call('GET', key)
if text and #text % BUCKET_BYTES == 0 then
  local kept = { struct.unpack(form(#text / BUCKET_BYTES), text) }
  for at = 1, #text / 8, 2 do
    local index = kept[at]
    -- The clock was set back: what is in the future counts as spent just now.
    if index > current then index, set_back = current, true end
    if index >= current - BUCKETS then add(index, kept[at + 1]) end
  end
end

local allowed = used + cost <= limit
local charged = allowed and spend
if charged then add(current, cost) end

local reset, retry = 0, 0
if n > 0 then reset = until_gone(buckets[n - 1]) end
if not allowed then
  local left = used
  for at = 1, n, 2 do
    left = left - buckets[at + 1]
    if left <= limit - cost then
      retry = until_gone(buckets[at])
      break
    end
  end
end

-- A key that lost its TTL gets one again. Buckets set back are kept, or each look would move them further.
if charged or set_back or redis.call('PTTL', key) == -1 then
  if n > 0 then
    redis.call('SET', key, struct.pack(form(n / 2), unpack(buckets)), 'PX', reset)
  else
    redis.call('DEL', key)
  end
end
return { allowed and 1 or 0, used, reset, retry }
`;
