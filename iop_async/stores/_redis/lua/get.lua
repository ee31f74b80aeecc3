-- ARGV: seller. Returns facts and body.
local id = call('HGET', SELLERS, ARGV[1])
return id and {whole(id)}
