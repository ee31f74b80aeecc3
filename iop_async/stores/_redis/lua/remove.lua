-- ARGV: seller. Returns whether there was a record.
local id = call('HGET', SELLERS, ARGV[1])
if not id then
  return 0
end

-- The sellers of a record that cannot be read: all there are must be looked through.
local function sellers_that_find(id)
  local found, cursor = {}, '0'
  repeat
    local scanned = call('HSCAN', SELLERS, cursor, 'COUNT', 1000)
    cursor = scanned[1]
    for n = 1, #scanned[2], 2 do
      if scanned[2][n + 1] == id then
        found[#found + 1] = scanned[2][n]
      end
    end
  until cursor == '0'
  return found
end

local fields = load(id)
for _, seller in ipairs(fields and fields.sellers or sellers_that_find(id)) do
  call('HDEL', SELLERS, seller)
end
call('HDEL', SELLERS, ARGV[1])
forget(id)
if fields then
  raise_floor(fields)
end
return 1
