#!lua flags=allow-oom
-- Takes deliveries that are due, those that have waited longest first.
-- ARGV: 2 room, 3 lease in ms, 4.. fields of a job. Gives {id, try, values of the fields} of each.
local rows = {}
local ids = redis.call('ZRANGE', P .. 'calls', '-inf', NOW, 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  local finished = redis.call('HGET', job_key(id), 'finished')
  if not finished then
    -- Forgotten by who did not know of deliveries.
    redis.call('ZREM', P .. 'calls', id)
  elseif finished + LIMITS.callback_ttl > NOW then
    local try = redis.call('HINCRBY', job_key(id), 'tries', 1)
    redis.call('ZADD', P .. 'calls', NOW + ARGV[3], id)
    rows[#rows + 1] = { id, try, redis.call('HMGET', job_key(id), unpack(ARGV, 4)) }
  end
end
return rows
