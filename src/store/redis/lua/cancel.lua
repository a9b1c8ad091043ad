#!lua flags=allow-oom
-- Takes a job back. ARGV: 2 id. Gives 'now', or the state that it had ended in, or nil.
local state = redis.call('HGET', job_key(ARGV[2]), 'state')
if state == 'queued' or state == 'running' then
  finish(ARGV[2], 'cancelled')
  return 'now'
end
return state
