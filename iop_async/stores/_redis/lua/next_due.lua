-- Returns due time and end of the lease ('' for none) of the records that may be next.
local moment, moments = now(), {}

local function add(due, ends)
  moments[#moments + 1] = due
  moments[#moments + 1] = ends
end

for _, index in ipairs({WAITING, WAKE}) do
  local id = call('ZRANGEBYSCORE', index, NOTHING, '+inf', 'LIMIT', 0, 1)[1]
  if id then
    local fields, ends = load(id), lease_end(id, moment)
    add(fields and fields.due or call('ZSCORE', index, id), ends and exact(ends) or '')
  end
end
if call('ZCOUNT', LEASED, '(' .. exact(moment + MAX_SPAN), '+inf') > 0 then
  add(exact(moment), '') -- a claim finds out when that record is due
end
return moments
