-- What every transition knows of a job: names of keys, the ways into and out of the queue.
-- Put before each script by scripts.rs; keys are described in keys.rs.
-- KEYS[1]: the prefix of all keys. ARGV[1]: limits as JSON. All times: milliseconds of Redis'
-- own clock, so that a process whose clock is wrong does no harm.
-- Numbers above 2^53 stay strings: Lua would round them.

local P = KEYS[1]
local LIMITS = cjson.decode(ARGV[1])
local GROUP = 'beagle'
local PRIORITIES = { 'high', 'normal', 'low' }
local ALIVE_MS = 5000
local CLOCK = redis.call('TIME')
local NOW = CLOCK[1] * 1000 + math.floor(CLOCK[2] / 1000)

local function job_key(id) return P .. 'j:' .. id end
local function pixels_key(id) return P .. 'p:' .. id end
local function stream(priority) return P .. 's:' .. priority end
local function again(priority) return P .. 'again:' .. priority end
-- Where an ended job is while its delivery is due; then it is in `dead` or `done` itself.
local function untold(state) return P .. 'untold:' .. (state == 'dead' and 'dead' or 'done') end
local function idempotency(key) return P .. 'i:' .. key end

-- Wakes whoever waits for work, in all processes.
local function ring()
  redis.call('PUBLISH', P .. 'work', '')
end

-- Says that a consumer lives, before it may own anything.
local function alive(consumer)
  redis.call('SET', P .. 'alive:' .. consumer, '1', 'PX', ALIVE_MS)
end

-- Whether a consumer has closed: what it still had on its way does nothing.
local function is_closed(consumer)
  return redis.call('EXISTS', P .. 'closed:' .. consumer) == 1
end

-- Whether a reply says that the group or its stream is not there: the data were lost.
local function groupless(reply)
  return type(reply) == 'table' and reply.err and (string.find(reply.err, 'NOGROUP', 1, true)
    or string.find(reply.err, 'no such key', 1, true))
end

-- A group command; makes the group where data were lost, and goes on.
local function grouped(priority, ...)
  local reply = redis.pcall(...)
  if groupless(reply) then
    redis.call('XGROUP', 'CREATE', stream(priority), GROUP, '0', 'MKSTREAM')
    reply = redis.call(...)
  end
  if type(reply) == 'table' and reply.err then
    error(reply)
  end
  return reply
end

-- Takes a delivered entry out of the stream. One that was not delivered must stay until it is:
-- deleting it would turn the group's lag into nil.
local function leave(priority, entry)
  redis.call('XACK', stream(priority), GROUP, entry)
  redis.call('XDEL', stream(priority), entry)
end

-- Calls visit(entry, id) for what a consumer holds of a priority and has not touched for idle ms,
-- the oldest first, at most `most`. Whether there may be more.
local function pending(priority, consumer, idle, most, visit)
  local from, seen = '-', 0
  while seen < most do
    local page = redis.pcall('XPENDING', stream(priority), GROUP, 'IDLE', idle, from, '+',
      math.min(100, most - seen), consumer)
    if page.err or #page == 0 then
      return false
    end
    for _, row in ipairs(page) do
      local entry = redis.call('XRANGE', stream(priority), row[1], row[1])[1]
      if entry then
        visit(row[1], entry[2][2])
      else
        redis.call('XACK', stream(priority), GROUP, row[1])
      end
      from = '(' .. row[1]
      seen = seen + 1
    end
  end
  return true
end

-- Forgets an ended job, and its idempotency key if that still names it.
local function forget(id)
  local key = redis.call('HGET', job_key(id), 'key')
  if key then
    local known = redis.call('GET', idempotency(key))
    if known and string.sub(known, 1, #id) == id then
      redis.call('DEL', idempotency(key))
    end
  end
  redis.call('DEL', job_key(id))
  redis.call('UNLINK', pixels_key(id))
  redis.call('ZREM', P .. 'done', id)
  redis.call('ZREM', P .. 'fade', id)
  redis.call('ZREM', P .. 'dead', id)
  redis.call('ZREM', P .. 'calls', id)
  redis.call('ZREM', untold('dead'), id)
  redis.call('ZREM', untold('done'), id)
end

-- Forgets the oldest of an index that holds too many, a few at a time.
local function trim(index, most)
  local over = redis.call('ZCARD', index) - most
  if over > 0 then
    for _, id in ipairs(redis.call('ZRANGE', index, 0, math.min(over, 500) - 1)) do
      forget(id)
    end
  end
  return over > 500
end

-- An ended job is kept for its time; what is too much of its kind goes.
local function keep(id, state, finished, key_until)
  if state == 'dead' then
    redis.call('ZADD', P .. 'dead', finished, id)
    trim(P .. 'dead', LIMITS.max_dead)
  else
    -- A result must not go before the key that names it.
    local fade = math.max(NOW + LIMITS.result_ttl, tonumber(key_until or 0))
    redis.call('PEXPIREAT', job_key(id), fade)
    redis.call('ZADD', P .. 'done', finished, id)
    redis.call('ZADD', P .. 'fade', fade, id)
    trim(P .. 'done', LIMITS.max_results)
  end
end

-- An ended job is kept until somebody was told.
local function owe(id, state, finished)
  redis.call('HSET', job_key(id), 'told', 'due', 'tries', 0)
  redis.call('ZADD', P .. 'calls', NOW, id)
  redis.call('ZADD', untold(state), finished, id)
end

-- A delivery comes to its end, and its job is kept like any other.
local function told(id, how)
  local of = redis.call('HMGET', job_key(id), 'state', 'finished', 'keep')
  redis.call('HSET', job_key(id), 'told', how)
  redis.call('ZREM', P .. 'calls', id)
  redis.call('ZREM', untold(of[1]), id)
  keep(id, of[1], of[2], of[3])
end

-- Ends a job that is queued or running, in whatever state: budgets, indexes, pixels, news.
local function finish(id, state, field, value)
  local key = job_key(id)
  local of = redis.call('HMGET', key, 'priority', 'entry', 'bytes', 'keep', 'callback')
  redis.call('ZREM', P .. 'live', id)
  redis.call('ZREM', P .. 'due', id)
  redis.call('ZREM', again(of[1]), id)
  redis.call('DECRBY', P .. 'bytes', of[3])
  if of[2] then
    leave(of[1], of[2])
  end
  redis.call('HSET', key, 'state', state, 'finished', NOW)
  if field then
    redis.call('HSET', key, field, value)
  end
  redis.call('HDEL', key, 'owner', 'entry', 'claim')
  if state ~= 'dead' then
    redis.call('UNLINK', pixels_key(id))
  end
  if of[5] then
    owe(id, state, NOW)
  else
    keep(id, state, NOW, of[4])
  end
  redis.call('PUBLISH', P .. 'ended', id)
end

-- Puts a claimed job back before younger ones of its priority. The fence grows, so that whoever
-- had it has it no more.
local function requeue(id)
  local key = job_key(id)
  local of = redis.call('HMGET', key, 'priority', 'entry', 'seq', 'deadline')
  redis.call('HINCRBY', key, 'fence', 1)
  redis.call('HSET', key, 'state', 'queued')
  redis.call('HDEL', key, 'owner', 'claim')
  if of[2] then
    redis.call('XACK', stream(of[1]), GROUP, of[2])
  end
  redis.call('ZADD', again(of[1]), of[3], id)
  redis.call('ZADD', P .. 'due', of[4], id)
end

-- The state of a job if this fence is its present one and the job has an owner, else false.
local function held(id, fence)
  local of = redis.call('HMGET', job_key(id), 'state', 'fence', 'owner')
  return of[3] and of[2] == fence and of[1]
end

local function worn_out(attempts)
  return 'no result after ' .. attempts ..
    ' attempts: who ran it died or lost its lease at the last one'
end

