#!lua flags=allow-oom
-- Makes the groups, and says which schema the data have. Touches nothing of a newer schema; an
-- older one differs by what jobs may have, and becomes this one, so that no older process opens it.
-- ARGV: 2 consumer.
redis.call('HSETNX', P .. 'meta', 'schema', LIMITS.schema)
local schema = redis.call('HGET', P .. 'meta', 'schema')
if not tonumber(schema) or tonumber(schema) > LIMITS.schema then
  return schema
end
if tonumber(schema) < LIMITS.schema then
  schema = tostring(LIMITS.schema)
  redis.call('HSET', P .. 'meta', 'schema', schema)
end
alive(ARGV[2])
for _, priority in ipairs(PRIORITIES) do
  grouped(priority, 'XINFO', 'CONSUMERS', stream(priority), GROUP)
end
return schema
