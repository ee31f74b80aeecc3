-- Goes before every script. A script touches the keys it is given and no others; all of them carry
-- the hash tag of the scope, so that a cluster keeps them on one node.
--
--   SELLERS   hash  seller -> id of the record that it finds
--   FIELDS    hash  id -> what a record is found by, as JSON; numbers as text, because Lua's are
--                   doubles; the key of releases that called them facts
--   BODIES    hash  id -> body
--   IDS       zset  every id, in the order in which they were given
--   HOLDERS   hash  id -> holder of its lease, where it has one
--   LEASED    zset  id -> when its lease ends
--   COUNTERS  hash  layout, last id, floor of the revisions of new records, whether there are anchors
--                   (0: none is needed)
--
-- While a cluster moves a slot, it refuses a script of whose keys some are there and some are not. So
-- on a cluster none is ever empty: each holds an anchor, whose name no seller and no id can have, and
-- whose score is below all others.
--
-- A record with a due time is in one of three places:
--
--   WAITING   free: id -> when it is due; and in ORDER: id -> the minute of that, then of its death
--   READY     free, and some claim found it due: id -> when it dies
--   LEASED    above
--
-- and in the latter two cases in WAKE as well: id -> when a claim may find it next.
--
-- Releases that do not know ORDER leave there what is no longer so, and leave out what they write: the
-- claims put right what they meet, and WAITING alone says what there is.
--
-- A record whose fields were torn or spoiled stays under a lease for ever, which the claims renew:
-- so it costs no other, and is found again when it is repaired.

local SELLERS, FIELDS, BODIES, IDS, HOLDERS, LEASED, WAITING, READY, WAKE, ORDER, COUNTERS =
  unpack(KEYS)
local LAYOUT = '1'
local call = redis.call

local NOTHING = '(-inf' -- where a range begins that leaves the anchor out
local ANCHOR = '\0'

local layout, has_anchors = unpack(call('HMGET', COUNTERS, 'layout', 'anchors'))
if layout and layout ~= LAYOUT then
  return redis.error_reply('IOPLAYOUT ' .. layout)
end

local function exact(number)
  return string.format('%.0f', number)
end

local function now()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Only where slots can move: hosts of release 0.1 take an anchor for a record that is torn.
local function drop_anchors()
  local has_slots = type(redis.pcall('CLUSTER', 'INFO')) == 'string'
  if has_slots then
    for _, hash in ipairs({SELLERS, FIELDS, BODIES, HOLDERS}) do
      call('HSET', hash, ANCHOR, '')
    end
    for _, index in ipairs({IDS, LEASED, WAITING, READY, WAKE, ORDER}) do
      call('ZADD', index, '-inf', ANCHOR)
    end
  end
  call('HSET', COUNTERS, 'anchors', has_slots and 1 or 0)
end

local function is_within(text, least, most)
  local is_number = type(text) == 'string' and #text <= 20 and string.find(text, '^-?%d+$')
  return is_number and tonumber(text) >= least and tonumber(text) <= most
end

local function is_count(text)
  return is_within(text, 0, MAX_READ_COUNT)
end

local function is_moment(text)
  return text == '' or is_within(text, FIRST_MOMENT, LAST_MOMENT)
end

-- Fields of a record by their text; nil where the scripts cannot work with them.
local function decode(text)
  local is_json, fields = pcall(cjson.decode, text)
  if not is_json or type(fields) ~= 'table' or type(fields.sellers) ~= 'table' then
    return nil
  end
  local names_its_own = false
  for _, seller in ipairs(fields.sellers) do
    if type(seller) ~= 'string' then
      return nil
    end
    names_its_own = names_its_own or seller == fields.seller
  end
  local is_sound = names_its_own and is_count(fields.generation) and is_count(fields.revision)
    and is_moment(fields.due) and is_moment(fields.dies)
  return is_sound and fields or nil
end

local function load(id)
  return decode(call('HGET', FIELDS, id))
end

-- Fields, as text, and body of a record. Who asked is told of what is missing.
local function whole(id)
  return call('HGET', FIELDS, id), call('HGET', BODIES, id)
end

local function save(id, fields)
  call('HSET', FIELDS, id, cjson.encode(fields))
end

-- When the lease of a record ends. One that ends beyond all bounds was planted, or given by a clock
-- that was wrong, and is none.
local function lease_end(id, moment)
  local ends = tonumber(call('ZSCORE', LEASED, id) or '')
  return ends and ends <= moment + MAX_SPAN and ends or nil
end

-- Both minutes fit into a double for as long as nothing falls due after 2097. Whatever does is found by
-- WAITING all the same.
local DEATHS = 2 ^ 27
local LAST_MINUTE = 2 ^ 26 - 1

local function minute(moment, last)
  return math.max(0, math.min(math.floor(tonumber(moment) / DUE_STEP), last))
end

local function due_minute(due)
  return minute(due, LAST_MINUTE)
end

local function put_in_order(id, fields)
  local death = fields.dies == '' and DEATHS - 1 or minute(fields.dies, DEATHS - 2)
  call('ZADD', ORDER, exact(due_minute(fields.due) * DEATHS + death), id)
end

-- Puts a record where it is found, given when its lease ends, if it has one.
local function list(id, fields, ends)
  if fields.due == '' or ends then
    call('ZREM', WAITING, id)
    call('ZREM', ORDER, id)
  else
    call('ZADD', WAITING, fields.due, id)
    put_in_order(id, fields)
  end
  call('ZREM', READY, id)
  if fields.due ~= '' and ends then
    call('ZADD', WAKE, exact(math.max(tonumber(fields.due), tonumber(ends))), id)
  else
    call('ZREM', WAKE, id)
  end
end

local function lend(id, fields, holder, ends)
  call('ZADD', LEASED, exact(ends), id)
  call('HSET', HOLDERS, id, holder)
  list(id, fields, ends)
end

local function give_back(id, fields)
  call('ZREM', LEASED, id)
  call('HDEL', HOLDERS, id)
  list(id, fields)
end

-- A floor that is no number, or higher than anybody counts, was planted.
local function revision_floor()
  local floor = tonumber(call('HGET', COUNTERS, 'floor') or '')
  return floor and floor >= 0 and floor <= MAX_READ_COUNT and floor or 0
end

-- A new record begins above every one that is gone, so that nobody who still holds an old one can
-- overwrite the new.
local function raise_floor(fields)
  if tonumber(fields.revision) > revision_floor() then
    call('HSET', COUNTERS, 'floor', fields.revision)
  end
end

local function forget(id)
  call('HDEL', FIELDS, id)
  call('HDEL', BODIES, id)
  call('HDEL', HOLDERS, id)
  for _, index in ipairs({IDS, LEASED, WAITING, READY, WAKE, ORDER}) do
    call('ZREM', index, id)
  end
end
