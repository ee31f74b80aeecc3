-- Returns due time and end of the lease ('' for none) of the records that may be next.
local moments = {}
for _, index in ipairs({WAITING, WAKE}) do
  local id = call('ZRANGE', index, 0, 0)[1]
  if id then
    moments[#moments + 1] = load(id).due
    moments[#moments + 1] = call('ZSCORE', LEASED, id) or ''
  end
end
return moments
