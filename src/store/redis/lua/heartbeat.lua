#!lua flags=allow-oom
-- Extends leases: JUSTID resets the idle time and leaves the delivery count alone.
-- ARGV: 2 consumer, 3.. pairs of id and fence. What is another's now stays another's.
local consumer = ARGV[2]
alive(consumer)
for at = 3, #ARGV, 2 do
  if held(ARGV[at], ARGV[at + 1]) then
    local of = redis.call('HMGET', job_key(ARGV[at]), 'priority', 'entry', 'owner')
    if of[3] == consumer then
      grouped(of[1], 'XCLAIM', stream(of[1]), GROUP, consumer, 0, of[2], 'FORCE', 'JUSTID')
    end
  end
end
return 1
