-- ARGV: due_by, limit, holder, microseconds, how many records to look at in one go, when the claim
-- began, where this is not its first step (a lease that it gave must not seem to have ended), and how
-- many shall be ready for the earliest expiry to be chosen among them.
-- Returns whether there may be more, when the claim began, when the leases end, then id, fields and
-- body of each record. Among them are those that were set aside, because they cannot be read.
local due_by, limit, holder = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local span, batch = tonumber(ARGV[4]), tonumber(ARGV[5])
local moment = now()
local began = ARGV[6] == '' and exact(moment) or ARGV[6]
local window = tonumber(ARGV[7])
local ends = moment + span
local found = {0, began, exact(ends)}

local function add(id, fields, body)
  found[#found + 1] = id
  found[#found + 1] = fields
  found[#found + 1] = body
end

local function set_aside(id)
  lend(id, {due = exact(ends)}, holder, ends)
  add(id, whole(id))
end

local function each(ids, step)
  for _, id in ipairs(ids) do
    local fields = load(id)
    if fields then
      step(id, fields)
    else
      set_aside(id)
    end
  end
end

local function make_ready(id, fields)
  if fields.due == '' then
    list(id, fields)
    return
  end
  call('ZREM', WAITING, id)
  call('ZADD', READY, fields.dies == '' and '+inf' or fields.dies, id)
  call('ZADD', WAKE, fields.due, id)
end

local ended = call('ZRANGEBYSCORE', LEASED, NOTHING, began, 'LIMIT', 0, batch)
each(ended, give_back)
local beyond = exact(moment + MAX_SPAN)
local planted = call('ZRANGEBYSCORE', LEASED, '(' .. beyond, '+inf', 'LIMIT', 0, batch)
each(planted, give_back)
local missing = window - call('ZCOUNT', READY, NOTHING, '+inf')
local due = {}
if missing > 0 then
  due = call('ZRANGEBYSCORE', WAITING, NOTHING, exact(due_by), 'LIMIT', 0, math.min(missing, batch))
  each(due, make_ready)
end

if math.max(#ended, #planted, #due) == batch and #due < missing then
  found[1] = 1
  return found -- those that fell due first are not all ready
end

local first = call('ZRANGEBYSCORE', READY, NOTHING, '+inf', 'LIMIT', 0, math.min(limit, batch))
for _, id in ipairs(first) do
  local text, body = whole(id)
  local fields = body and decode(text)
  if not fields then
    set_aside(id)
    found[1] = 1
  elseif fields.due == '' or tonumber(fields.due) > due_by then
    list(id, fields) -- somebody asked further ahead; that costs no more than it did to make it ready
    found[1] = 1
  else
    lend(id, fields, holder, ends)
    add(id, text, body)
  end
end
if limit > batch and #first == batch then
  found[1] = 1
end
return found
