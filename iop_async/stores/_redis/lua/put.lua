-- ARGV: revision that the stored record must have, facts without a revision, body, and '=' with the
-- holder whose lease ends, or nothing. Returns the new revision; or '0', and what is stored instead.
local expected, facts, body, release = ARGV[1], cjson.decode(ARGV[2]), ARGV[3], ARGV[4]

local id = call('HGET', SELLERS, facts.seller)
local stored = id and load(id)
if stored and stored.seller ~= facts.seller then
  stored = nil
end
if expected ~= (stored and stored.revision or '0') then
  if not stored then
    return {'0'}
  end
  return {'0', whole(id)}
end

local function names(sellers)
  local set = {}
  for _, seller in ipairs(sellers) do
    set[seller] = true
  end
  return set
end

local before = names(stored and stored.sellers or {})
local revision = stored and stored.revision or call('HGET', COUNTERS, 'floor') or '0'
facts.revision = exact(tonumber(revision) + 1)

-- The first write of a script is the one that is refused where memory is full: nothing may come
-- before it that would be half of this.
if not stored then
  call('HSET', COUNTERS, 'layout', LAYOUT)
  id = exact(call('HINCRBY', COUNTERS, 'id', 1))
end
save(id, facts)
call('HSET', BODIES, id, body)
call('ZADD', IDS, id, id)

local wanted = names(facts.sellers)
for seller in pairs(before) do
  if not wanted[seller] then
    call('HDEL', SELLERS, seller)
  end
end

local robbed = {}
for _, seller in ipairs(facts.sellers) do
  if not before[seller] then
    local owner = call('HGET', SELLERS, seller)
    if owner then
      robbed[owner] = true
    end
    call('HSET', SELLERS, seller, id)
  end
end
for owner in pairs(robbed) do
  local loser, left, keeps_its_own = load(owner), {}, false
  for _, seller in ipairs(loser.sellers) do
    if not wanted[seller] then
      left[#left + 1] = seller
      keeps_its_own = keeps_its_own or seller == loser.seller
    end
  end
  if not keeps_its_own then
    raise_floor(loser)
  end
  if #left == 0 then
    forget(owner)
  else
    -- a write like any other: who holds the record as it was must not take the sellers back
    loser.seller = keeps_its_own and loser.seller or left[1]
    loser.sellers = left
    loser.revision = exact(tonumber(loser.revision) + 1)
    save(owner, loser)
  end
end

if release ~= '' and call('HGET', HOLDERS, id) == string.sub(release, 2) then
  give_back(id)
else
  list(id, facts)
end
return {facts.revision}
