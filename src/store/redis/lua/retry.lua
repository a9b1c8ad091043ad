#!lua
-- Queues a dead letter anew. ARGV: 2 id, 3 deadline. Gives {what, a number}.
local id, deadline = ARGV[2], ARGV[3]
local of = redis.call('HMGET', job_key(id), 'state', 'bytes', 'priority', 'callback')
if of[1] ~= 'dead' then
  return { 'none', '' }
end
local jobs = redis.call('ZCARD', P .. 'live')
if jobs >= LIMITS.max_jobs then
  return { 'jobs', tostring(jobs) }
end
local held_bytes = tonumber(redis.call('GET', P .. 'bytes') or '0')
if held_bytes + tonumber(of[2]) > LIMITS.max_bytes then
  return { 'bytes', string.format('%.0f', held_bytes) }
end
if of[4] then
  local callbacks = redis.call('ZCARD', P .. 'calls')
  if callbacks >= LIMITS.max_callbacks and not redis.call('ZSCORE', P .. 'calls', id) then
    return { 'callbacks', tostring(callbacks) }
  end
  redis.call('ZADD', P .. 'calls', '+inf', id)
  redis.call('ZREM', untold('dead'), id)
end
local seq = redis.call('INCR', P .. 'seq')
redis.call('HSET', job_key(id), 'state', 'queued', 'attempts', 0, 'deadline', deadline, 'seq', seq)
redis.call('HDEL', job_key(id), 'finished', 'reason', 'told', 'tries', 'untold')
redis.call('ZREM', P .. 'dead', id)
redis.call('INCRBY', P .. 'bytes', of[2])
redis.call('ZADD', P .. 'live', seq, id)
redis.call('ZADD', P .. 'due', deadline, id)
redis.call('XADD', stream(of[3]), '*', 'j', id)
ring()
return { 'new', '' }
