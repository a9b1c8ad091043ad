#!lua flags=no-writes
-- Counts: {live, queued, bytes, dead, ended, those of both whose delivery is due, when the oldest
-- arrived or ''}.
local oldest = redis.call('ZRANGE', P .. 'live', 0, 0)[1]
local dead = redis.call('ZCARD', untold('dead'))
local done = redis.call('ZCARD', untold('done'))
return {
  redis.call('ZCARD', P .. 'live'),
  redis.call('ZCARD', P .. 'due'),
  redis.call('GET', P .. 'bytes') or '0',
  redis.call('ZCARD', P .. 'dead') + dead,
  redis.call('ZCARD', P .. 'done') + done,
  dead + done,
  oldest and redis.call('HGET', job_key(oldest), 'created') or '',
}
