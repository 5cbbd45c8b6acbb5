/*
 * One string per name: 'R' (runs) or 'A' (answered), the token of the run (32 characters), its fingerprint (43), and
 * the answer. Its expiry is the end of the lease, or of the time for which the answer is kept. What is shorter, or
 * begins otherwise, is no record of ours: it counts as nothing.
 */
const LOOK = `
local head = redis.call('GETRANGE', key, 0, 75)
local state, holder, print = string.match(head, '^([RA])(' .. string.rep('.', 32) .. ')(' .. string.rep('.', 43) .. ')$')
`;

/**
 * KEYS: name. ARGV: token, fingerprint, lease. Replies {0} claimed; {1, ms until the lease of another run ends};
 * {2} another request under this name; {3, answer}.
 */
export const CLAIM = `
${LOOK}
if not state or (state == 'R' and holder == token) then
  redis.call('SET', key, 'R' .. token .. fingerprint, 'PX', lease)
  return { 0 }
end
if print ~= fingerprint then return { 2 } end
if state == 'R' then return { 1, redis.call('PTTL', key) } end
return { 3, redis.call('GETRANGE', key, 76, -1) }
`;

/** KEYS: name. ARGV: token, fingerprint, lease. Replies 1, or 0 when the name is somebody else's, or answered. */
export const RENEW = `
${LOOK}
if state and (state == 'A' or holder ~= token) then return 0 end
redis.call('SET', key, 'R' .. token .. fingerprint, 'PX', lease)
return 1
`;

/** KEYS: name. ARGV: token, fingerprint, ttl, answer. Replies 1, or 0 when the name is somebody else's. */
export const COMPLETE = `
${LOOK}
if state and holder ~= token then return 0 end
redis.call('SET', key, 'A' .. token .. fingerprint .. answer, 'PX', ttl)
return 1
`;

/** KEYS: name. ARGV: token. Replies 1, or 0 when the token does not hold the name. */
export const RELEASE = `
${LOOK}
if state ~= 'R' or holder ~= token then return 0 end
return redis.call('DEL', key)
`;
