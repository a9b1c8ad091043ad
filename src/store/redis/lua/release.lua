#!lua flags=allow-oom
-- Hands back what was claimed and not started. ARGV: 2.. pairs of id and fence.
local rung = false
for at = 2, #ARGV, 2 do
  if held(ARGV[at], ARGV[at + 1]) == 'queued' then
    requeue(ARGV[at])
    rung = true
  end
end
if rung then
  ring()
end
return 1
