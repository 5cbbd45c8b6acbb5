import { defineScript } from '../redis/redis.script.ts';

/**
 * Adds to a counter; replies with the result, or with nil and no change when it would not be a safe integer.
 */
export const INCRBY_SCRIPT = defineScript({
  name: 'collections.incrby',
  args: ['amount'],
  body: `
local SAFE = 9007199254740991
-- Fails by itself when the key holds a set, hash or list.
local text = redis.call('GET', key) or '0'
if text ~= '0' and not string.match(text, '^%-?[1-9]%d*$') then
  return redis.error_reply('WRONGTYPE The key holds text, not a counter')
end
-- Lua counts in doubles, which are exact for as long as both numbers are safe.
local current = tonumber(text)
local result = current + tonumber(amount)
if math.abs(current) > SAFE or math.abs(result) > SAFE then return false end
-- INCRBY, unlike SET, leaves the expiry alone.
redis.call('INCRBY', key, amount)
-- As text: some clients read the last digits of large integers wrong.
return string.format('%.0f', result)
`,
  reply: (raw) => (raw === null ? null : Number(raw)),
});
