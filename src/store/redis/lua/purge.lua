#!lua flags=allow-oom
-- Forgets ended jobs of a state, some at a time. ARGV: 2 state, 3 place to go on from, 4 the index
-- that has them.
-- Gives {how many went, place to go on from, whether that was the end}.
local state, from, BATCH = ARGV[2], tonumber(ARGV[3]), 500
local index = P .. ARGV[4]
local ids, went = redis.call('ZRANGE', index, from, from + BATCH - 1), 0
for _, id in ipairs(ids) do
  local is = redis.call('HGET', job_key(id), 'state')
  if not is then
    forget(id)
  elseif is == state then
    forget(id)
    went = went + 1
  end
end
-- What went no longer takes a place; what stayed is passed over.
local stayed = redis.call('ZCARD', index)
local next_from = from
for _, id in ipairs(ids) do
  if redis.call('ZSCORE', index, id) then
    next_from = next_from + 1
  end
end
return { went, next_from, next_from >= stayed and 1 or 0 }
