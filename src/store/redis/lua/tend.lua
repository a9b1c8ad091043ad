#!lua flags=allow-oom
-- Takes back what the dead and the late hold, ends what is overdue, forgets what is old.
-- Several processes may call it at once: what one has done the next one does not find.
-- Gives {reclaimed, expired, dead, given up, whether there is more to do}.
local BATCH = 500
local reclaimed, expired, dead, more = 0, 0, 0, false

-- After a restart of Redis every process looks dead and every lease old, by the time it was away.
-- So they are all given a chance to speak first.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local known = redis.call('HMGET', P .. 'meta', 'run', 'since')
if known[1] ~= run then
  redis.call('HSET', P .. 'meta', 'run', run, 'since', known[1] and NOW or 0)
  known[2] = known[1] and NOW or 0
elseif tonumber(known[2]) > NOW then
  -- The clock went back since.
  redis.call('HSET', P .. 'meta', 'since', NOW)
  known[2] = NOW
end
local up = NOW - tonumber(known[2])

local function reclaim(entry, id)
  local of = redis.call('HMGET', job_key(id), 'state', 'entry', 'attempts', 'priority')
  if (of[1] ~= 'queued' and of[1] ~= 'running') or of[2] ~= entry then
    -- An entry whose job has ended or has another one; its stream is the one it was found in.
    return false
  end
  if of[1] == 'running' and tonumber(of[3]) >= LIMITS.max_attempts then
    finish(id, 'dead', 'reason', worn_out(of[3]))
    dead = dead + 1
  else
    requeue(id)
    reclaimed = reclaimed + 1
  end
  return true
end

for _, priority in ipairs(PRIORITIES) do
  local consumers = grouped(priority, 'XINFO', 'CONSUMERS', stream(priority), GROUP)
  for _, fields in ipairs(consumers) do
    local consumer = fields[2]
    local visit = function(entry, id)
      if not reclaim(entry, id) then
        leave(priority, entry)
      end
    end
    local left = redis.call('PTTL', P .. 'alive:' .. consumer)
    if left > ALIVE_MS then
      -- Said before the clock went back: the dead would live on for as long as that was.
      redis.call('PEXPIRE', P .. 'alive:' .. consumer, ALIVE_MS)
    end
    if left == -2 then
      if up >= ALIVE_MS then
        if pending(priority, consumer, 0, BATCH, visit) then
          more = true
        else
          -- Only now: deleting a consumer throws away what it holds.
          redis.call('XGROUP', 'DELCONSUMER', stream(priority), GROUP, consumer)
        end
      end
    elseif up >= LIMITS.lease then
      more = pending(priority, consumer, LIMITS.lease, BATCH, visit) or more
    end
  end
end
if reclaimed > 0 then
  ring()
end

local overdue = redis.call('ZRANGE', P .. 'due', '-inf', NOW, 'BYSCORE', 'LIMIT', 0, BATCH)
for _, id in ipairs(overdue) do
  finish(id, 'expired')
end
expired = #overdue

-- What was tried for long enough and nobody tries just now.
local given_up = 0
for _, state in ipairs({ 'dead', 'done' }) do
  local old = redis.call('ZRANGE', untold(state), '-inf', NOW - LIMITS.callback_ttl, 'BYSCORE',
    'LIMIT', 0, BATCH)
  for _, id in ipairs(old) do
    local next_try = redis.call('ZSCORE', P .. 'calls', id)
    if not next_try or tonumber(next_try) <= NOW then
      told(id, 'given_up')
      given_up = given_up + 1
    end
  end
  more = more or given_up >= BATCH
end

-- A process that knows nothing of deliveries may have ended jobs that have one. The oldest come
-- first, by their names.
local waiting = redis.call('ZRANGE', P .. 'calls', '+inf', '+inf', 'BYSCORE', 'LIMIT', 0, 100)
for _, id in ipairs(waiting) do
  local of = redis.call('HMGET', job_key(id), 'state', 'finished')
  if not of[1] then
    redis.call('ZREM', P .. 'calls', id)
  elseif of[1] ~= 'queued' and of[1] ~= 'running' then
    redis.call('PERSIST', job_key(id))
    redis.call('ZREM', P .. 'done', id)
    redis.call('ZREM', P .. 'fade', id)
    redis.call('ZREM', P .. 'dead', id)
    owe(id, of[1], of[2])
  end
end

local faded = redis.call('ZRANGE', P .. 'fade', '-inf', NOW, 'BYSCORE', 'LIMIT', 0, BATCH)
for _, id in ipairs(faded) do
  forget(id)
end
local results = trim(P .. 'done', LIMITS.max_results)
local letters = trim(P .. 'dead', LIMITS.max_dead)
more = more or #overdue == BATCH or #faded == BATCH or results or letters
return { reclaimed, expired, dead, given_up, more and 1 or 0 }
