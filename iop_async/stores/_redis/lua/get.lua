-- ARGV: seller. Returns facts and body.
local id = call('HGET', SELLERS, ARGV[1])
if not id then
  return false
end
return {call('HGET', FACTS, id), call('HGET', BODIES, id)}
