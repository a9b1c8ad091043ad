#!lua flags=allow-oom
-- Records what came of tries. ARGV: 2.. six each: id, end, try, outcome, ms to wait, reason.
-- Gives a 1 (counts) or 0 (another's turn, or over) for each.
local answers = {}
for at = 2, #ARGV, 6 do
  local id, ended, try, outcome, wait, reason = unpack(ARGV, at, at + 5)
  local of = redis.call('HMGET', job_key(id), 'told', 'tries', 'finished')
  local counts = of[1] == 'due' and of[2] == try and of[3] == ended
  if counts then
    if reason ~= '' then
      redis.call('HSET', job_key(id), 'untold', reason)
    end
    if outcome == 'postponed' and try ~= '0' then
      redis.call('HINCRBY', job_key(id), 'tries', -1)
    end
    if outcome == 'again' or outcome == 'postponed' then
      -- Not after the time at which it is given up.
      redis.call('ZADD', P .. 'calls', math.min(NOW + wait, of[3] + LIMITS.callback_ttl), id)
    else
      told(id, outcome)
    end
  end
  answers[#answers + 1] = counts and 1 or 0
end
return answers
