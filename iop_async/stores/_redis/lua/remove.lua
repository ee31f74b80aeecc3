-- ARGV: seller. Returns whether there was a record.
local id = call('HGET', SELLERS, ARGV[1])
if not id then
  return 0
end
local facts = load(id)
call('HDEL', SELLERS, unpack(facts.sellers))
forget(id)
raise_floor(facts)
return 1
