-- ARGV: due_by, limit, holder, microseconds, how many records to look at in one go, and when the
-- claim began, where this is not its first step: a lease that it gave must not seem to have ended.
-- Returns whether there may be more, when the claim began, when the leases end, then id, facts and
-- body of each record.
local due_by, limit, holder = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local span, batch = tonumber(ARGV[4]), tonumber(ARGV[5])
local moment = now()
local began = ARGV[6] == '' and exact(moment) or ARGV[6]
local ends = moment + span

local ended = call('ZRANGEBYSCORE', LEASED, '-inf', began, 'LIMIT', 0, batch)
for _, id in ipairs(ended) do
  give_back(id)
end

local due = call('ZRANGEBYSCORE', WAITING, '-inf', exact(due_by), 'LIMIT', 0, batch)
for _, id in ipairs(due) do
  local facts = load(id)
  call('ZREM', WAITING, id)
  call('ZADD', READY, facts.dies == '' and '+inf' or facts.dies, id)
  call('ZADD', WAKE, facts.due, id)
end

if #ended == batch or #due == batch then
  return {1, began, exact(ends)} -- who dies first is known only when all that are due are ready
end

local found = {0, began, exact(ends)}
local wanted = math.min(limit, batch)
local first, rows = call('ZRANGE', READY, 0, wanted - 1), {}
for n, id in ipairs(first) do
  rows[n] = {whole(id)}
end
for n, id in ipairs(first) do
  local text, body = unpack(rows[n])
  local facts = cjson.decode(text)
  if tonumber(facts.due) > due_by then
    list(id, facts) -- somebody asked further ahead; that costs no more than it did to make it ready
    found[1] = 1
  else
    lend(id, facts, holder, ends)
    found[#found + 1] = id
    found[#found + 1] = text
    found[#found + 1] = body
  end
end
if limit > batch and #first == batch then
  found[1] = 1
end
return found
