#!lua
-- Accepts a job, unless it is known, its key is, or there is no room.
-- ARGV: 2 id, 3 profile, 4 top, 5 priority, 6 created, 7 deadline, 8 key or '', 9 fingerprint,
-- 10 bytes of pixels, 11 where the pixels are, 12 callback or '', 13 trace or ''. Pixels do not come through here, because Lua takes
-- longer to copy them than everything else together; a rename puts them in their place.
-- Gives {what, a number or a job}.
local id, profile, top, priority, created, deadline, key, fingerprint, bytes, pixels,
  callback, trace = unpack(ARGV, 2, 13)

local function refuse(what, detail)
  redis.call('UNLINK', pixels)
  return { what, detail }
end

if redis.call('EXISTS', job_key(id)) == 1 then
  return refuse('known', '')
end
if key ~= '' then
  local known = redis.call('GET', idempotency(key))
  if known then
    local other = string.sub(known, 1, #id)
    if string.sub(known, #id + 2) == fingerprint then
      return refuse('existing', other)
    end
    return refuse('reused', other)
  end
end
local jobs = redis.call('ZCARD', P .. 'live')
if jobs >= LIMITS.max_jobs then
  return refuse('jobs', tostring(jobs))
end
local held_bytes = tonumber(redis.call('GET', P .. 'bytes') or '0')
if held_bytes + tonumber(bytes) > LIMITS.max_bytes then
  return refuse('bytes', string.format('%.0f', held_bytes))
end
if callback ~= '' then
  local callbacks = redis.call('ZCARD', P .. 'calls')
  if callbacks >= LIMITS.max_callbacks then
    return refuse('callbacks', tostring(callbacks))
  end
end

local seq = redis.call('INCR', P .. 'seq')
redis.call('HSET', job_key(id), 'state', 'queued', 'profile', profile, 'top', top,
  'priority', priority, 'created', created, 'deadline', deadline, 'attempts', 0, 'fence', 0,
  'seq', seq, 'bytes', bytes)
if callback ~= '' then
  redis.call('HSET', job_key(id), 'callback', callback)
  redis.call('ZADD', P .. 'calls', '+inf', id)
end
if trace ~= '' then
  redis.call('HSET', job_key(id), 'trace', trace)
end
if bytes ~= '0' then
  redis.call('RENAME', pixels, pixels_key(id))
  redis.call('PERSIST', pixels_key(id))
end
if key ~= '' then
  redis.call('HSET', job_key(id), 'key', key, 'keep', NOW + LIMITS.key_ttl)
  redis.call('SET', idempotency(key), id .. ' ' .. fingerprint, 'PX', LIMITS.key_ttl)
end
redis.call('INCRBY', P .. 'bytes', bytes)
redis.call('ZADD', P .. 'live', seq, id)
redis.call('ZADD', P .. 'due', deadline, id)
redis.call('XADD', stream(priority), '*', 'j', id)
ring()
return { 'new', '' }
