-- ARGV: seller, holder, microseconds (0 give the lease back). Returns fields and body, and id and end
-- of a lease that the holder had not before; those of a record that cannot be read are returned too,
-- and it is not leased.
local holder, span = ARGV[2], tonumber(ARGV[3])
local id = call('HGET', SELLERS, ARGV[1])
if not id then
  return false
end
local text, body = whole(id)
local fields = body and decode(text)
if not fields then
  return {text, body}
end
local moment = now()
local owner, ends = call('HGET', HOLDERS, id), lease_end(id, moment)
local is_leased = owner and ends and ends > moment
if is_leased and owner ~= holder then
  return false
end
if span > 0 then
  lend(id, fields, holder, moment + span)
  if not is_leased then
    return {text, body, id, exact(moment + span)}
  end
elseif owner == holder then
  give_back(id, fields)
end
return {text, body}
