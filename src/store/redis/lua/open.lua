#!lua flags=allow-oom
-- Makes the groups, and says which schema the data have. Touches nothing of another schema.
-- ARGV: 2 consumer.
redis.call('HSETNX', P .. 'meta', 'schema', LIMITS.schema)
local schema = redis.call('HGET', P .. 'meta', 'schema')
if tonumber(schema) ~= LIMITS.schema then
  return schema
end
alive(ARGV[2])
for _, priority in ipairs(PRIORITIES) do
  grouped(priority, 'XINFO', 'CONSUMERS', stream(priority), GROUP)
end
return schema
