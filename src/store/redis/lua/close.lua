#!lua flags=allow-oom
-- Hands back what a process holds and has not started, and lets it go. ARGV: 2 consumer.
-- What it runs stays its own until somebody tends: nothing says that it lives any more.
local consumer, found = ARGV[2], {}
-- A claim that is on its way must not take back what is handed back here.
redis.call('SET', P .. 'closed:' .. consumer, '1', 'PX', 60000)
for _, priority in ipairs(PRIORITIES) do
  pending(priority, consumer, 0, 1000000, function(_, id)
    local of = redis.call('HMGET', job_key(id), 'state', 'owner')
    if of[1] == 'queued' and of[2] == consumer then
      found[#found + 1] = id
    end
  end)
end
for _, id in ipairs(found) do
  requeue(id)
end
redis.call('DEL', P .. 'alive:' .. consumer)
for _, priority in ipairs(PRIORITIES) do
  if not pending(priority, consumer, 0, 1, function() end) then
    redis.pcall('XGROUP', 'DELCONSUMER', stream(priority), GROUP, consumer)
  end
end
if #found > 0 then
  ring()
end
return 1
