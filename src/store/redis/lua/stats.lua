#!lua flags=no-writes
-- Counts: {live, queued, bytes, dead, ended, when the oldest arrived or ''}.
local oldest = redis.call('ZRANGE', P .. 'live', 0, 0)[1]
return {
  redis.call('ZCARD', P .. 'live'),
  redis.call('ZCARD', P .. 'due'),
  redis.call('GET', P .. 'bytes') or '0',
  redis.call('ZCARD', P .. 'dead'),
  redis.call('ZCARD', P .. 'done'),
  oldest and redis.call('HGET', job_key(oldest), 'created') or '',
}
