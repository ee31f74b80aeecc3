-- Commands that write, on what is not there: a replica refuses them, and so does a server that this
-- user may only read from. A full memory refuses the first only, so that one must be ZADD. Nothing
-- is changed.
call('ZADD', IDS, 'XX', 0, '')
call('HDEL', COUNTERS, '')
return call('ZCARD', IDS)
