-- Goes before the scripts that write records.

-- The id of the record that a seller finds, if any, and its fields, if they can be read.
local function find(seller)
  local id = call('HGET', SELLERS, seller)
  return id, id and load(id)
end

local function names(sellers)
  local set = {}
  for _, seller in ipairs(sellers) do
    set[seller] = true
  end
  return set
end

-- Writes a record: the revision that the stored one must have, fields without a revision, body, and
-- '=' with the holder whose lease ends, or nothing. Returns the new revision; or '0', and what is
-- stored instead.
local function write(expected, text, body, release)
  local fields = cjson.decode(text)
  local id, stored = find(fields.seller)
  if id and not stored then
    return {'0', whole(id)}
  end
  if stored and stored.seller ~= fields.seller then
    id, stored = nil, nil -- another's, which is to lose this seller
  end
  if expected ~= (stored and stored.revision or '0') then
    if not stored then
      return {'0'}
    end
    return {'0', whole(id)}
  end

  local before, losers = names(stored and stored.sellers or {}), {}
  for _, seller in ipairs(fields.sellers) do
    if not before[seller] then
      local owner = call('HGET', SELLERS, seller)
      if owner and owner ~= id and not losers[owner] then
        losers[owner] = load(owner)
        if not losers[owner] then
          return {'0', whole(owner)} -- before anything is written: an error undoes nothing
        end
      end
    end
  end

  -- The first write of a script is the one that is refused where memory is full: nothing may come
  -- before it that would be half of this.
  local revision = stored and tonumber(stored.revision) or revision_floor()
  fields.revision = exact(revision + 1)
  if not has_anchors then
    drop_anchors()
    has_anchors = true
  end
  if not stored then
    call('HSET', COUNTERS, 'layout', LAYOUT)
    id = exact(call('HINCRBY', COUNTERS, 'id', 1))
  end
  save(id, fields)
  call('HSET', BODIES, id, body)
  call('ZADD', IDS, id, id)

  local wanted = names(fields.sellers)
  for seller in pairs(before) do
    if not wanted[seller] then
      call('HDEL', SELLERS, seller)
    end
  end
  for seller in pairs(wanted) do
    if not before[seller] then
      call('HSET', SELLERS, seller, id)
    end
  end

  -- Detach the sellers from the records that they found so far.
  for owner, loser in pairs(losers) do
    local left, keeps_its_own = {}, false
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
    give_back(id, fields)
  else
    list(id, fields, call('ZSCORE', LEASED, id))
  end
  return {fields.revision}
end

