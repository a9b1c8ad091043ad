#!lua flags=allow-oom
-- Puts attempts on record. ARGV: 2.. pairs of id and fence. Gives a 1 (run) or 0 (gone) for each.
-- Asked twice, because the first answer was lost, it answers the same and charges once.
local answers = {}
for at = 2, #ARGV, 2 do
  local id, run = ARGV[at], 0
  local state = held(id, ARGV[at + 1])
  if state == 'running' then
    run = 1
  elseif state == 'queued' then
    if tonumber(redis.call('HGET', job_key(id), 'deadline')) <= NOW then
      finish(id, 'expired')
    else
      redis.call('HINCRBY', job_key(id), 'attempts', 1)
      redis.call('HSET', job_key(id), 'state', 'running')
      redis.call('ZREM', P .. 'due', id)
      run = 1
    end
  end
  answers[#answers + 1] = run
end
return answers
