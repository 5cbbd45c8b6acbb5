/**
 * The algorithm of `SlidingWindow`, on the server's clock. The key holds `index:units` per bucket, oldest first; text
 * of any other form counts as nothing spent.
 *
 * KEYS: subject. ARGV: limit, cost, width of a bucket (µs), 1 to spend or 0 to look.
 * Replies {1 if allowed, units used, ms until all are back, ms until the call would be allowed}.
 */
export const SLIDING_WINDOW = `
local BUCKETS = 12
local limit, cost, width, spend = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3]), arg[4] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local current = math.floor(now / width)

local index, units, n, used, pulled = {}, {}, 0, 0, false
local function add(i, u)
  if index[n] == i then
    units[n] = units[n] + u
  else
    n = n + 1
    index[n], units[n] = i, u
  end
  used = used + u
end
local function until_gone(i)
  return math.ceil(((i + BUCKETS + 1) * width - now) / 1000)
end

for i, u in string.gmatch(redis.call('GET', key) or '', '(%d+):(%d+)') do
  i, u = tonumber(i), tonumber(u)
  -- The clock was set back: what is in the future counts as spent just now.
  if i > current then i, pulled = current, true end
  if i >= current - BUCKETS then add(i, u) end
end

local allowed = used + cost <= limit
local charged = allowed and spend
if charged then add(current, cost) end

local reset, retry = 0, 0
if n > 0 then reset = until_gone(index[n]) end
if not allowed then
  local left = used
  for i = 1, n do
    left = left - units[i]
    if left <= limit - cost then
      retry = until_gone(index[i])
      break
    end
  end
end

-- A key that lost its TTL gets one again. Buckets pulled back are kept, or each look would pull them further.
if charged or pulled or redis.call('PTTL', key) == -1 then
  local text = {}
  for i = 1, n do text[i] = string.format('%.0f:%.0f', index[i], units[i]) end
  if n > 0 then redis.call('SET', key, table.concat(text, ' '), 'PX', reset) else redis.call('DEL', key) end
end
return { allowed and 1 or 0, used, reset, retry }
`;
