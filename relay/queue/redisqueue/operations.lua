-- Operations: each takes the batch and where its arguments begin, and returns
-- its answer. The letters are those of answers.go.

local function putNew(c, i, field)
  local a = c.args
  local name, id, said, org, size = a[i], a[i + 1], a[i + 2], a[i + 3], tonumber(a[i + 4])
  local expires = unhex(sub(said, 66, 79))
  if expires <= c.now then return 'E' end
  if not c.room then return 'M' end
  local d, o, share = deskOf(c, name), orgOf(c, org), c.shares[org]
  if d.records >= c.quota[1] or d.bytes + size > c.quota[2] then return 'F' end
  if o.records + share[1] >= c.quota[3] or o.bytes + size + share[2] > c.quota[4] then return 'S' end
  local pos = append(c, name, d, id .. a[i + 5], a[i + 6])
  local at = enter(c, name, pos, id, org, size, a[i + 5], expires)
  d.records, d.bytes = d.records + 1, d.bytes + size
  o.records, o.bytes = o.records + 1, o.bytes + size
  c.dirtyOrgs[org], c.grown[name] = true, true
  c.ids[field], c.dirtyIds[field] = at .. '0' .. said, true
  if sub(said, 65, 65) ~= '0' then
    c.waiting[#c.waiting + 1], c.waiting[#c.waiting + 2] = 0, field
  end
  return 'P' .. at
end

-- lost reports whether a record that is known should be in its mailbox and is not:
-- an accident to the append-only file took it, and its sender offers it again.
local function lost(c, name, at, targets)
  local pos = unhex(at)
  if finished(deskOf(c, name), { at = pos, targets = targets, org = name }) then return false end
  local found = redis.call('XRANGE', c.k.mail .. name, dec(pos), dec(pos), 'COUNT', 1)
  return #found == 0
end

-- put answers for what is there. Offered again is the moment at which an accident
-- to the file is made good, so nothing is taken for granted then.
local function put(c, i)
  local field = c.args[i] .. '\0' .. c.args[i + 1]
  local row = c.ids[field]
  if not row then return putNew(c, i, field) end
  if sub(row, 16, 47) ~= sub(c.args[i + 2], 1, 32) then return 'C' end
  if lost(c, c.args[i], sub(row, 1, 14), c.args[i + 5]) then return putNew(c, i, field) end
  if sub(row, 15, 15) == '0' and sub(row, 80, 80) ~= '0' then
    c.waiting[#c.waiting + 1], c.waiting[#c.waiting + 2] = 0, field
  end
  return 'D' .. sub(row, 1, 14) .. sub(row, 48, 63)
end

local function ack(c, i)
  local name, pos = c.args[i], tonumber(c.args[i + 2])
  local d = deskOf(c, name)
  if pos > d.last then return 'A' end
  local device = deviceOf(d, c.args[i + 1])
  if not device then return 'N' end
  if device.dropped >= 0 then return 'X' end
  if pos > device.cursor then
    device.cursor = pos
    c.dirty[name], c.moved[name] = true, true
  end
  return 'K'
end

local function drop(c, i)
  local name = c.args[i]
  local d = deskOf(c, name)
  local device = deviceOf(d, c.args[i + 1])
  if not device then return 'N' end
  if device.dropped < 0 then
    device.dropped = d.last
    c.dirty[name], c.moved[name] = true, true
  end
  return 'K'
end

-- attend compares digests, whose equality Redis's Lua decides by their address,
-- after both were interned: in constant time.
local function attend(c, i)
  local field = c.args[i] .. '\0' .. c.args[i + 1]
  local row = c.ids[field]
  if not row or sub(row, 109, 109) ~= '1' or sub(row, 110, 141) ~= c.args[i + 2] or unhex(sub(row, 81, 94)) <= c.now then
    return 'T'
  end
  if sub(row, 15, 15) == '0' then
    c.ids[field], c.dirtyIds[field] = sub(row, 1, 14) .. '1' .. sub(row, 16), true
    c.unwaiting[#c.unwaiting + 1] = field
  end
  return 'K'
end

local function notice(c, i)
  local a = c.args
  local name = a[i]
  local d = deskOf(c, name)
  local device = d.devices[a[i + 1]]
  if device and device.dropped >= 0 then return 'P' .. hex(0) end
  local pos = append(c, name, d, a[i + 2] .. a[i + 1], a[i + 4])
  c.grown[name] = true
  return 'P' .. enter(c, name, pos, a[i + 2], '', 0, a[i + 1], tonumber(a[i + 3]))
end

-- forget deletes what is known of an id, if it is known for this position: a
-- damaged envelope may have been put again.
local function forget(c, name, at, id)
  local field = name .. '\0' .. id
  local row = c.ids[field]
  if row and sub(row, 1, 14) ~= at then return end
  c.ids[field], c.dirtyIds[field] = nil, nil
  redis.call('HDEL', c.k.ids, field)
  redis.call('ZREM', c.k.waiting, field)
end

-- finish ends an envelope or notice that expired.
local function finish(c, i)
  local name, at, id = c.args[i], c.args[i + 1], c.args[i + 2]
  redis.call('ZREM', c.k.ends, name .. '\0' .. at .. id)
  local e = indexAt(c, name, at)
  if not e or e.org ~= '' then forget(c, name, at, id) end
  if e then
    remove(c, name, deskOf(c, name), { e })
  else
    redis.call('XDEL', c.k.mail .. name, dec(unhex(at)) .. '-0')
  end
  return 'K'
end

-- quarantine takes all that stands at a position aside. The caller has looked.
local function quarantine(c, i)
  local name, at, id = c.args[i], c.args[i + 1], c.args[i + 2]
  local key, pos = c.k.mail .. name, dec(unhex(at))
  for _, entry in ipairs(redis.call('XRANGE', key, pos, pos)) do
    redis.call('LPUSH', c.k.aside, cmsgpack.pack({ name, entry[1], entry[2] }))
    redis.call('XDEL', key, entry[1])
  end
  redis.call('LTRIM', c.k.aside, 0, ASIDE)
  local e = indexAt(c, name, at)
  if e then remove(c, name, deskOf(c, name), { e }) end
  if id ~= '' then forget(c, name, at, id) end
  return 'K'
end

-- goOn goes on with deletions that one call could not finish.
local function goOn(c, i)
  c.moved[c.args[i]], c.wasBehind[c.args[i]] = true, true
  return 'K'
end

-- How many arguments each operation has, and where its id stands, if it needs
-- what is known of it.
local OPS = {
  P = { put, 7, 1 }, A = { ack, 3 }, D = { drop, 2 }, T = { attend, 3, 1 }, N = { notice, 5 },
  F = { finish, 3, 2 }, Q = { quarantine, 3, 2 }, B = { goOn, 1 },
}

-- prefetch reads the rows of all desks and ids in the batch at once.
local function prefetch(c, from)
  local desks, ids, seen = {}, {}, {}
  local i = from
  while i <= #c.args do
    local op, name = OPS[c.args[i]], c.args[i + 1]
    if not seen[name] then
      seen[name] = true
      desks[#desks + 1] = name
    end
    if op[3] then
      local field = name .. '\0' .. c.args[i + 1 + op[3]]
      if not seen[field] then
        seen[field] = true
        ids[#ids + 1] = field
      end
    end
    i = i + 1 + op[2]
  end
  c.rows = fetch(c.k.desks, desks)
  c.ids = fetch(c.k.ids, ids)
  for field, sealed in pairs(c.ids) do c.ids[field] = unseal(field, sealed) end
end

-- flush writes the rows that changed.
local function flush(c)
  local rows = {}
  for field in pairs(c.dirtyIds) do
    rows[#rows + 1], rows[#rows + 2] = field, seal(field, c.ids[field])
  end
  each('HSET', c.k.ids, rows)
  each('ZADD', c.k.ends, c.ends)
  each('ZADD', c.k.waiting, c.waiting)
  each('ZREM', c.k.waiting, c.unwaiting)
end

local function flushCounts(c)
  local rows, changed = {}, {}
  for name in pairs(c.dirty) do
    rows[#rows + 1], rows[#rows + 2] = name, packDesk(name, c.desks[name])
  end
  each('HSET', c.k.desks, rows)
  rows = {}
  for name in pairs(c.dirtyOrgs) do
    local o = c.orgs[name]
    local n = #changed
    changed[n + 1], changed[n + 2], changed[n + 3] = name, dec(o.records), dec(o.bytes)
    rows[#rows + 1], rows[#rows + 2] = name, dec(o.records) .. ' ' .. dec(o.bytes)
  end
  each('HSET', c.k.orgs, rows)
  return changed
end

local function batch(keys, args, room)
  local k, now = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local c = {
    k = k, now = now, args = args, room = room, desks = {}, orgs = {}, shares = {}, dirty = {}, dirtyOrgs = {}, dirtyIds = {},
    moved = {}, wasBehind = {}, grown = {}, index = {}, ends = {}, waiting = {}, unwaiting = {},
    quota = { tonumber(args[4]), tonumber(args[5]), tonumber(args[6]), tonumber(args[7]) },
  }
  local i = 9
  for _ = 1, tonumber(args[8]) do
    c.shares[args[i]] = { tonumber(args[i + 1]), tonumber(args[i + 2]) }
    i = i + 3
  end
  prefetch(c, i)
  local answers = {}
  while i <= #args do
    local op = OPS[args[i]]
    answers[#answers + 1] = op[1](c, i + 1)
    i = i + 1 + op[2]
  end
  each('ZADD', k.index, c.index)
  sweep(c, SWEEP + 4 * #answers)
  flush(c)
  local grown = {}
  for name in pairs(c.grown) do grown[#grown + 1] = name end
  if #grown > 0 then redis.call('PUBLISH', args[2], args[3] .. '\n' .. table.concat(grown, '\n')) end
  return { answers, flushCounts(c) }
end
