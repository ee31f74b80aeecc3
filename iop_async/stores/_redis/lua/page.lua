-- ARGV: id to begin after, how many. Returns ids, facts and bodies.
local ids = call('ZRANGEBYSCORE', IDS, '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])
if #ids == 0 then
  return {{}, {}, {}}
end
return {ids, call('HMGET', FACTS, unpack(ids)), call('HMGET', BODIES, unpack(ids))}
