#!lua flags=allow-oom
-- Says that a process lives, and hands back what claims took whose answers never arrived.
-- ARGV: 2 consumer, 3.. names of such claims.
local consumer = ARGV[2]
if is_closed(consumer) then
  return 1
end
alive(consumer)
redis.call('HSETNX', P .. 'meta', 'schema', LIMITS.schema)
if #ARGV < 3 then
  return 1
end
local lost, found = {}, {}
for at = 3, #ARGV do
  lost[ARGV[at]] = true
end
for _, priority in ipairs(PRIORITIES) do
  pending(priority, consumer, 0, 10000, function(_, id)
    local of = redis.call('HMGET', job_key(id), 'state', 'owner', 'claim')
    if of[1] == 'queued' and of[2] == consumer and of[3] and lost[of[3]] then
      found[#found + 1] = id
    end
  end)
end
for _, id in ipairs(found) do
  requeue(id)
end
if #found > 0 then
  ring()
end
return 1
