#!lua flags=allow-oom
-- Records failed attempts. ARGV: 2.. triples of id, fence and reason.
-- Gives 'again', 'dead' or 'stale' for each.
local answers, rung = {}, false
for at = 2, #ARGV, 3 do
  local id, reason, answer = ARGV[at], ARGV[at + 2], 'stale'
  if held(id, ARGV[at + 1]) then
    if tonumber(redis.call('HGET', job_key(id), 'attempts')) >= LIMITS.max_attempts then
      finish(id, 'dead', 'reason', reason)
      answer = 'dead'
    else
      redis.call('HSET', job_key(id), 'reason', reason)
      requeue(id)
      answer, rung = 'again', true
    end
  end
  answers[#answers + 1] = answer
end
if rung then
  ring()
end
return answers
