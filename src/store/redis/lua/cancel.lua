#!lua flags=allow-oom
-- Takes a job back. ARGV: 2 id. Gives its state afterwards, or nil.
local state = redis.call('HGET', job_key(ARGV[2]), 'state')
if state == 'queued' or state == 'running' then
  finish(ARGV[2], 'cancelled')
  return 'cancelled'
end
return state
