-- Goes before every script. A script touches the keys it is given and no others; all of them carry
-- the hash tag of the scope, so that a cluster keeps them on one node.
--
--   SELLERS   hash  seller -> id of the record that it finds
--   FACTS     hash  id -> what a record is found by, as JSON; numbers as text, because Lua's are
--                   doubles
--   BODIES    hash  id -> body
--   IDS       zset  every id, in the order in which they were given
--   HOLDERS   hash  id -> holder of its lease, where it has one
--   LEASED    zset  id -> when its lease ends
--   COUNTERS  hash  layout, last id, floor of the revisions
--
-- A record with a due time is in one of three places:
--
--   WAITING   free: id -> when it is due
--   READY     free, and some claim found it due: id -> when it dies
--   LEASED    above
--
-- and in the latter two cases in WAKE as well: id -> when a claim may find it next.

local SELLERS, FACTS, BODIES, IDS, HOLDERS, LEASED, WAITING, READY, WAKE, COUNTERS = unpack(KEYS)
local LAYOUT = '1'
local call = redis.call

local layout = call('HGET', COUNTERS, 'layout')
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

local function load(id)
  return cjson.decode(call('HGET', FACTS, id))
end

-- Facts and body of a record. Asked for before anything is written: an error undoes nothing.
local function whole(id)
  local facts, body = call('HGET', FACTS, id), call('HGET', BODIES, id)
  if not (facts and body) then
    error('a part of a record is gone')
  end
  return facts, body
end

local function save(id, facts)
  call('HSET', FACTS, id, cjson.encode(facts))
end

local function list(id, facts)
  call('ZREM', WAITING, id)
  call('ZREM', READY, id)
  call('ZREM', WAKE, id)
  if facts.due == '' then
    return
  end
  local ends = call('ZSCORE', LEASED, id)
  if ends then
    call('ZADD', WAKE, exact(math.max(tonumber(facts.due), tonumber(ends))), id)
  else
    call('ZADD', WAITING, facts.due, id)
  end
end

local function lend(id, facts, holder, ends)
  call('ZADD', LEASED, exact(ends), id)
  call('HSET', HOLDERS, id, holder)
  list(id, facts)
end

local function give_back(id)
  call('ZREM', LEASED, id)
  call('HDEL', HOLDERS, id)
  list(id, load(id))
end

-- A new record begins above every one that is gone, so that nobody who still holds an old one can
-- overwrite the new.
local function raise_floor(facts)
  local floor = call('HGET', COUNTERS, 'floor') or '0'
  if tonumber(facts.revision) > tonumber(floor) then
    call('HSET', COUNTERS, 'floor', facts.revision)
  end
end

local function forget(id)
  call('HDEL', FACTS, id)
  call('HDEL', BODIES, id)
  call('HDEL', HOLDERS, id)
  for _, index in ipairs({IDS, LEASED, WAITING, READY, WAKE}) do
    call('ZREM', index, id)
  end
end
