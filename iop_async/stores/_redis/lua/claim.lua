-- ARGV: due_by, limit, holder, microseconds, how many records to look at in one go, when the claim
-- began, where this is not its first step (a lease that it gave must not seem to have ended), and how
-- many shall be ready for the earliest expiry to be chosen among them, and how many of those that fell
-- due first are looked at for what releases wrote that do not know ORDER.
-- Returns whether there may be more, when the claim began, when the leases end, then id, fields and
-- body of each record. Among them are those that were set aside, because they cannot be read.
local due_by, limit, holder = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local span, batch = tonumber(ARGV[4]), tonumber(ARGV[5])
local moment = now()
local began = ARGV[6] == '' and exact(moment) or ARGV[6]
local window, unknown = tonumber(ARGV[7]), tonumber(ARGV[8])
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
  call('ZREM', ORDER, id)
  call('ZADD', READY, fields.dies == '' and '+inf' or fields.dies, id)
  call('ZADD', WAKE, fields.due, id)
end

local function first_due(limit)
  return call('ZRANGEBYSCORE', WAITING, NOTHING, exact(due_by), 'WITHSCORES', 'LIMIT', 0, limit)
end

-- Of what fell due first, puts into ORDER what is not there, or not in the minute of its due time.
local function adopt()
  local first, strangers = first_due(unknown), {}
  for n = 1, #first, 2 do
    local place = tonumber(call('ZSCORE', ORDER, first[n]) or '')
    if not place or math.floor(place / DEATHS) ~= due_minute(first[n + 1]) then
      strangers[#strangers + 1] = first[n]
    end
  end
  each(strangers, list)
end

-- What comes first in ORDER and is due. Drops what is not WAITING, and passes by what is not yet due.
local function first_in_order(limit)
  local ids, misplaced = {}, {}
  local first = call('ZRANGEBYSCORE', ORDER, NOTHING,
    '(' .. exact((due_minute(due_by) + 1) * DEATHS), 'WITHSCORES', 'LIMIT', 0, limit)
  for n = 1, #first, 2 do
    local id, due = first[n], tonumber(call('ZSCORE', WAITING, first[n]) or '')
    if not due then
      call('ZREM', ORDER, id)
    elseif due <= due_by then
      ids[#ids + 1] = id
    elseif due_minute(due) ~= math.floor(first[n + 1] / DEATHS) then
      misplaced[#misplaced + 1] = id
    end
  end
  each(misplaced, list)
  return ids
end

local function make_first_ready(limit)
  adopt()
  local ids = first_in_order(limit)
  each(ids, make_ready)
  local others = limit > #ids and first_due(limit - #ids) or {}
  for n = 1, #others, 2 do
    each({others[n]}, make_ready)
  end
  return #ids + #others / 2
end

local ended = call('ZRANGEBYSCORE', LEASED, NOTHING, began, 'LIMIT', 0, batch)
each(ended, give_back)
local beyond = exact(moment + MAX_SPAN)
local planted = call('ZRANGEBYSCORE', LEASED, '(' .. beyond, '+inf', 'LIMIT', 0, batch)
each(planted, give_back)
local missing = window - call('ZCOUNT', READY, NOTHING, '+inf')
local due = missing > 0 and make_first_ready(math.min(missing, batch)) or 0

if math.max(#ended, #planted, due) == batch and due < missing then
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
