-- ARGV: holder, when its leases end, ids. Ends those leases and no later ones.
for n = 3, #ARGV do
  local id = ARGV[n]
  if call('HGET', HOLDERS, id) == ARGV[1] and call('ZSCORE', LEASED, id) == ARGV[2] then
    local fields = load(id)
    if fields then
      give_back(id, fields)
    end
  end
end
return 0
