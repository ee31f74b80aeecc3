-- ARGV: sellers. Returns for each fields and body of the record that it finds, or nothing.
local found = {}
for n, id in ipairs(call('HMGET', SELLERS, unpack(ARGV))) do
  found[n] = id and {whole(id)}
end
return found
