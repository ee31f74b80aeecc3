-- ARGV: id to begin after, how many. Returns id, facts and body of each record.
local found = {}
for n, id in ipairs(call('ZRANGEBYSCORE', IDS, '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])) do
  found[n] = {id, whole(id)}
end
return found
