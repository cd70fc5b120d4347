-- Operations: each takes the batch and where its arguments begin, and returns
-- its answer. The letters are those of answers.go.

local function putNew(c, i)
  local name, field, expires, said, entry = c.args[i], c.args[i + 1], c.args[i + 2], c.args[i + 3], c.args[i + 4]
  if tonumber(expires) <= c.now then return 'E' end
  if not c.room then return 'M' end
  local size, org = parseSlip(entry)
  local d, o, share = deskOf(c, name), orgOf(c, org), c.shares[org]
  if d.records >= c.quota[1] or d.bytes + size > c.quota[2] then return 'F' end
  if o.records + share[1] >= c.quota[3] or o.bytes + size + share[2] > c.quota[4] then return 'S' end
  local pos = append(c, name, d, entry)
  local at = hex(pos)
  enter(c, field, at, expires)
  d.records, d.bytes = d.records + 1, d.bytes + size
  o.records, o.bytes = o.records + 1, o.bytes + size
  c.dirtyOrgs[org], c.grown[name] = true, true
  c.ids[field], c.dirtyIds[field] = knownRow(at, '0', said), true
  if sub(said, 73, 73) ~= '0' then
    c.waiting[#c.waiting + 1], c.waiting[#c.waiting + 2] = 0, field
  end
  return pos
end

-- lost reports whether a record that is known should be in its mailbox and is not:
-- an accident to the append-only file took it, and its sender offers it again.
local function lost(c, name, pos, entry)
  local _, _, targets = parseSlip(entry)
  local passed, delivered = reach(deskOf(c, name), targets)
  if pos <= passed and pos <= delivered then return false end
  local e, foreign = stored(c, name, pos)
  return not e and not foreign
end

-- put answers for what is there. Offered again is the moment at which an accident
-- to the file is made good, so nothing is taken for granted then.
local function put(c, i)
  local name, field, sealed, entry = c.args[i], c.args[i + 1], c.args[i + 3], c.args[i + 4]
  local at, attended, said = knownOf(field, c.ids[field])
  if not at then return putNew(c, i) end
  if sub(said, 1, 32) ~= sub(sealed, 9, 40) then return 'C' end
  if lost(c, name, unhex(at), entry) then return putNew(c, i) end
  if attended == '0' and sub(said, 65, 65) ~= '0' then
    c.waiting[#c.waiting + 1], c.waiting[#c.waiting + 2] = 0, field
  end
  return 'D' .. at .. sub(said, 33, 48)
end

local function ack(c, i)
  local name, pos = c.args[i], tonumber(c.args[i + 2])
  local d = deskOf(c, name)
  if pos > d.last then return 'A' end
  local device = deviceOf(d, c.args[i + 1])
  if not device then return 'N' end
  if device.dropped then return 'X' end
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
  if not device.dropped then
    device.dropped = d.last
    c.dirty[name], c.moved[name] = true, true
  end
  return 'K'
end

-- attend compares digests, whose equality Redis's Lua decides by their address,
-- after both were interned: in constant time.
local function attend(c, i)
  local field = c.args[i + 1]
  local at, attended, said = knownOf(field, c.ids[field])
  if not at or sub(said, 94, 94) ~= '1' or sub(said, 95, 126) ~= c.args[i + 2] or unhex(sub(said, 66, 79)) <= c.now then
    return 'T'
  end
  if attended == '0' then
    c.ids[field], c.dirtyIds[field] = knownRow(at, '1', sub(c.ids[field], 31)), true
    c.unwaiting[#c.unwaiting + 1] = field
  end
  return 'K'
end

local function notice(c, i)
  local name, field, expires, entry = c.args[i], c.args[i + 1], c.args[i + 2], c.args[i + 3]
  local d = deskOf(c, name)
  local _, _, target = parseSlip(entry)
  local device = devicesOf(d)[target]
  if device and device.dropped then return 0 end
  local pos = append(c, name, d, entry)
  c.grown[name] = true
  enter(c, field, hex(pos), expires)
  return pos
end

-- forget deletes what is known of an id, if it is known for this position: a
-- damaged envelope may have been put again. It returns whether it was known so.
local function forget(c, field, at)
  local row = c.ids[field]
  local known = knownOf(field, row)
  if known and known ~= at then return false end
  if row then redis.call('HDEL', c.k.ids, field) end
  redis.call('ZREM', c.k.waiting, field)
  c.ids[field], c.dirtyIds[field] = nil, nil
  return known ~= nil
end

-- look says of an id that is due whether it is known for its position, stored, and
-- delivered, and what the put said.
local function look(c, i)
  local name, field, at = c.args[i], c.args[i + 1], c.args[i + 2]
  local known, _, said = knownOf(field, c.ids[field])
  known = known == at
  local e, foreign = stored(c, name, unhex(at))
  local ours = e and (known or name .. '\0' .. e.id == field) or foreign and known
  local delivered = e and (e.org == '' or e.pos <= select(2, reach(deskOf(c, name), e.targets)))
  return 'L' .. (known and '1' or '0') .. (ours and '1' or '0') .. (delivered and '1' or '0') .. (known and said or '')
end

-- finish ends an envelope or notice that expired.
local function finish(c, i)
  local name, field, at = c.args[i], c.args[i + 1], c.args[i + 2]
  local pos = unhex(at)
  local e, foreign = stored(c, name, pos)
  local notice = e and e.org == ''
  local known = not notice and forget(c, field, at)
  if foreign then redis.call('XDEL', c.k.mail .. name, dec(pos)) end
  if e and (known or name .. '\0' .. e.id == field) then remove(c, name, deskOf(c, name), { e }) end
  return 'K'
end

-- rest puts in place of a row of ends the lines that are not finished.
local function rest(c, i)
  local row, left, expires = c.args[i + 1], c.args[i + 2], c.args[i + 3]
  redis.call('ZREM', c.k.ends, row)
  if left ~= '' then redis.call('ZADD', c.k.ends, expires, left) end
  return 'K'
end

-- quarantine takes all that stands at a position aside. The caller has looked.
local function quarantine(c, i)
  local name, field, at = c.args[i], c.args[i + 1], c.args[i + 2]
  local key, pos = c.k.mail .. name, dec(unhex(at))
  local e = stored(c, name, unhex(at))
  for _, entry in ipairs(redis.call('XRANGE', key, pos, pos)) do
    redis.call('LPUSH', c.k.aside, cmsgpack.pack({ name, entry[1], entry[2] }))
    if not e or entry[1] ~= e.name then redis.call('XDEL', key, entry[1]) end
  end
  redis.call('LTRIM', c.k.aside, 0, ASIDE)
  if e then remove(c, name, deskOf(c, name), { e }) end
  if field ~= '' then forget(c, field, at) end
  return 'K'
end

-- goOn goes on with deletions that one call could not finish.
local function goOn(c, i)
  c.moved[c.args[i]], c.wasBehind[c.args[i]] = true, true
  return 'K'
end

-- How many arguments each operation has. The first is the desk or empty, and of those
-- with true the second is desk 0 id, of which it needs what is known.
local OPS = {
  P = { put, 5, true }, A = { ack, 3 }, D = { drop, 2 }, T = { attend, 3, true }, N = { notice, 4 },
  L = { look, 3, true }, F = { finish, 3, true }, R = { rest, 4 }, Q = { quarantine, 3, true },
  B = { goOn, 1 },
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
    if op[3] then ids[#ids + 1] = c.args[i + 2] end
    i = i + 1 + op[2]
  end
  c.rows = fetch(c.k.desks, desks)
  c.ids = fetch(c.k.ids, ids)
end

-- flush writes the rows that changed.
local function flush(c)
  local rows, ends = {}, {}
  for field in pairs(c.dirtyIds) do
    rows[#rows + 1], rows[#rows + 2] = field, c.ids[field]
  end
  for expires, lines in pairs(c.ends) do
    ends[#ends + 1], ends[#ends + 2] = expires, table.concat(lines)
  end
  each('HSET', c.k.ids, rows)
  each('ZADD', c.k.ends, ends)
  each('ZADD', c.k.waiting, c.waiting)
  each('ZREM', c.k.waiting, c.unwaiting)
  if #c.waiting > 0 then
    local arrived = {}
    for i = 2, #c.waiting, 2 do arrived[#arrived + 1] = c.waiting[i] end
    each('LPUSH', c.k.arrived, arrived)
    redis.call('LTRIM', c.k.arrived, 0, ARRIVED - 1)
  end
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
    changed[n + 1], changed[n + 2], changed[n + 3] = name, o.records, o.bytes
    rows[#rows + 1], rows[#rows + 2] = name, string.format('%d %d', o.records, o.bytes)
  end
  each('HSET', c.k.orgs, rows)
  return changed
end

local function batch(keys, args, room)
  local k, now = opened(keys, args[1], args[8])
  if not k then return redis.error_reply(EPOCH) end
  local c = {
    k = k, now = now, args = args, room = room, desks = {}, orgs = {}, shares = {}, dirty = {}, dirtyOrgs = {}, dirtyIds = {},
    moved = {}, wasBehind = {}, grown = {}, ends = {}, waiting = {}, unwaiting = {},
    quota = { tonumber(args[4]), tonumber(args[5]), tonumber(args[6]), tonumber(args[7]) },
  }
  local i = 10
  for _ = 1, tonumber(args[9]) do
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
  sweep(c, SWEEP + 4 * #answers)
  flush(c)
  local grown = {}
  for name in pairs(c.grown) do grown[#grown + 1] = name end
  if #grown > 0 then redis.call('PUBLISH', args[2], args[3] .. '\n' .. table.concat(grown, '\n')) end
  return { answers, flushCounts(c) }
end
