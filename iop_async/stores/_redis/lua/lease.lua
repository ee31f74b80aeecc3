-- ARGV: seller, holder, microseconds (0 give the lease back). Returns facts and body.
local holder, span = ARGV[2], tonumber(ARGV[3])
local id = call('HGET', SELLERS, ARGV[1])
if not id then
  return false
end
local owner, moment = call('HGET', HOLDERS, id), now()
if owner and owner ~= holder and tonumber(call('ZSCORE', LEASED, id)) > moment then
  return false
end
local facts, body = whole(id)
if span > 0 then
  lend(id, cjson.decode(facts), holder, moment + span)
elseif owner == holder then
  give_back(id)
end
return {facts, body}
