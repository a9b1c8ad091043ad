#!lua flags=allow-oom
-- Takes at most so many jobs: the shares that are due to the lower priorities, then high priority
-- first; of each those that come again, then the stream. rules.rs has the same shares.
-- ARGV: 2 consumer, 3 room, 4 name of this claim.
-- Gives {whether there may be more, rows}.
local consumer, room, claim = ARGV[2], tonumber(ARGV[3]), ARGV[4]
-- Entries looked at in one go, so that a queue full of cancelled jobs does not stop Redis.
local budget = room + 1000
local rows = {}

-- A job whose entry was delivered to this consumer, or that came out of `again`.
local function take(priority, entry, id)
  local key = job_key(id)
  local of = redis.call('HMGET', key, 'state', 'owner', 'entry', 'deadline', 'attempts', 'bytes',
    'profile', 'top', 'created', 'trace')
  local queued = of[1] == 'queued' or of[1] == 'running'
  if not queued or (of[3] and of[3] ~= entry) then
    -- Ended meanwhile, or a second entry of the same job.
    return leave(priority, entry)
  end
  if of[2] then
    -- Somebody has it; only the group had forgotten so.
    return redis.call('XCLAIM', stream(priority), GROUP, of[2], 0, entry, 'FORCE', 'JUSTID')
  end
  redis.call('HSET', key, 'entry', entry)
  if tonumber(of[4]) <= NOW then
    return finish(id, 'expired')
  end
  if tonumber(of[5]) >= LIMITS.max_attempts then
    return finish(id, 'dead', 'reason', worn_out(of[5]))
  end
  local fence = redis.call('HINCRBY', key, 'fence', 1)
  redis.call('HSET', key, 'owner', consumer, 'claim', claim)
  redis.call('ZREM', again(priority), id)
  rows[#rows + 1] = { id, fence, of[6], of[7], of[8], priority, of[9], of[4], of[5],
    of[10] }
end

if is_closed(consumer) then
  return { 0, rows }
end
alive(consumer)
local claimed = tonumber(redis.call('HGET', P .. 'meta', 'claimed') or 0)
local function due(every)
  return math.floor((claimed + room) / every) - math.floor(claimed / every)
end
local low = due(16)
local turns = {
  { 'low', low }, { 'normal', due(4) - low }, { 'high', room }, { 'normal', room }, { 'low', room },
}
for _, turn in ipairs(turns) do
  local priority, most = turn[1], math.min(room, #rows + turn[2])
  while #rows < most and budget > 0 do
    local ids = redis.call('ZRANGE', again(priority), 0, math.min(most - #rows, 100) - 1)
    if #ids == 0 then
      break
    end
    for _, id in ipairs(ids) do
      local entry = redis.call('HGET', job_key(id), 'entry')
      redis.call('ZREM', again(priority), id)
      if entry then
        grouped(priority, 'XCLAIM', stream(priority), GROUP, consumer, 0, entry, 'FORCE', 'JUSTID')
        take(priority, entry, id)
      end
      budget = budget - 1
    end
  end
  while #rows < most and budget > 0 do
    local read = grouped(priority, 'XREADGROUP', 'GROUP', GROUP, consumer,
      'COUNT', math.min(most - #rows, 100), 'STREAMS', stream(priority), '>')
    if not read then
      break
    end
    for _, entry in ipairs(read[1][2]) do
      take(priority, entry[1], entry[2][2])
      budget = budget - 1
    end
  end
end
if #rows > 0 then
  redis.call('HINCRBY', P .. 'meta', 'claimed', #rows)
end
return { budget <= 0 and 1 or 0, rows }
