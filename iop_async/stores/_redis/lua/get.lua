-- ARGV: seller. Returns fields and body.
local id = call('HGET', SELLERS, ARGV[1])
return id and {whole(id)}
