-- ARGV: place to begin after, how many. Returns place, id, fields and body of each record.
local found = {}
local ids = call('ZRANGEBYSCORE', IDS, '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for n = 1, #ids, 2 do
  found[#found + 1] = {ids[n + 1], ids[n], whole(ids[n])}
end
return found
