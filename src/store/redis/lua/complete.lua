#!lua flags=allow-oom
-- Records results; must also work at maxmemory, or a full Redis could never be emptied.
-- ARGV: 2.. triples of id, fence and result. Gives a 1 (first) or 0 (stale) for each.
local answers = {}
for at = 2, #ARGV, 3 do
  local id, first = ARGV[at], 0
  if held(id, ARGV[at + 1]) then
    finish(id, 'done', 'result', ARGV[at + 2])
    first = 1
  end
  answers[#answers + 1] = first
end
return answers
