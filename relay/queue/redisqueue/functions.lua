-- The queue's state changes, one bucket of mailboxes at a time. Every function
-- gets one key, the bucket's meta hash, from whose hash tag the other keys are
-- made, so that a call touches one slot. What stands where:
--
--   meta      hash    epoch, now (of the latest expiry)
--   desks     hash    desk -> sealed {last, records, bytes, devices}
--   ids       hash    desk 0 id -> sealed position, attended, what the put said
--   index     zset    0, desk 0 position size organisation 0 targets
--   ends      zset    expiry, desk 0 position id
--   waiting   zset    0, desk 0 id: has a tier, nobody attended
--   orgs      hash    organisation -> records bytes, of its envelopes in this bucket
--   behind    set     desks whose deletions one call could not finish
--   aside     list    damaged records, for the operator
--   mail:DESK stream  position-0: s = id and targets, r = the record
--
-- Positions are 14 hexadecimal digits wherever they are sorted as text. A sealed
-- row begins with eight digits of the SHA-1 of its place and content: against
-- accidents, such as a flipped bit in the append-only file.

local MAX_DEVICES = 1024
local SWEEP = 4096
local ASIDE = 127
local CHUNK = 1000

-- While a library is loaded, Redis has no string table yet.
local function sub(s, from, upto) return string.sub(s, from, upto) end
local function fmt(form, n) return string.format(form, n) end
local function find(s, what, from) return string.find(s, what, from, true) end

local function hex(n) return fmt('%014x', n) end
local function dec(n) return fmt('%.0f', n) end
local function unhex(s) return tonumber(s, 16) end

local function names(meta)
  local p = sub(meta, 1, -5)
  return {
    meta = meta, desks = p .. 'desks', ids = p .. 'ids', index = p .. 'index', ends = p .. 'ends',
    waiting = p .. 'waiting', orgs = p .. 'orgs', behind = p .. 'behind', aside = p .. 'aside', mail = p .. 'mail:',
  }
end

local function sum(place, row) return sub(redis.sha1hex(place .. '\0' .. row), 1, 8) end
local function seal(place, row) return sum(place, row) .. row end

-- unseal returns nil for a row that is not there or damaged.
local function unseal(place, sealed)
  if not sealed then return nil end
  local row = sub(sealed, 9)
  if sub(sealed, 1, 8) ~= sum(place, row) then return nil end
  return row
end

-- each calls one command with many arguments, as often as the stack demands.
local function each(command, key, list)
  for from = 1, #list, CHUNK do
    redis.call(command, key, unpack(list, from, math.min(#list, from + CHUNK - 1)))
  end
end

local function fetch(key, fields)
  local all = {}
  for from = 1, #fields, CHUNK do
    local upto = math.min(#fields, from + CHUNK - 1)
    local values = redis.call('HMGET', key, unpack(fields, from, upto))
    for i = from, upto do all[fields[i]] = values[i - from + 1] end
  end
  return all
end

local EPOCH = 'EPOCH the store was emptied, replaced or taken over'

-- opened returns the bucket's names and its clock, or nil when this is not the
-- store that the caller opened.
local function opened(keys, epoch)
  local k = names(keys[1])
  local meta = redis.call('HMGET', k.meta, 'epoch', 'now')
  if meta[1] ~= epoch then return nil end
  return k, tonumber(meta[2] or '') or 0
end

-- Desks -------------------------------------------------------------------------

-- recovered makes a desk's row from its stream, when the row is new or damaged.
-- Cursors begin again: devices recognise what they have.
local function recovered(k, name)
  local d = { last = 0, records = 0, bytes = 0, devices = {}, count = 0 }
  local stream = redis.pcall('XINFO', 'STREAM', k.mail .. name)
  if stream.err then return d end
  for i = 1, #stream, 2 do
    if stream[i] == 'length' then d.records = stream[i + 1] end
    if stream[i] == 'last-generated-id' then d.last = tonumber((string.match(stream[i + 1], '^(%d+)'))) end
  end
  return d
end

local function parseDesk(k, name, sealed)
  local row = unseal(name, sealed)
  local ok, v = false, nil
  if row then ok, v = pcall(cmsgpack.unpack, row) end
  if not ok then return recovered(k, name) end
  local d = { last = v[1], records = v[2], bytes = v[3], devices = {}, count = 0 }
  for i = 4, #v, 4 do
    d.devices[v[i]] = { cursor = v[i + 1], swept = v[i + 2], dropped = v[i + 3] }
    d.count = d.count + 1
  end
  return d
end

local function packDesk(name, d)
  local v = { d.last, d.records, d.bytes }
  for id, device in pairs(d.devices) do
    v[#v + 1], v[#v + 2], v[#v + 3], v[#v + 4] = id, device.cursor, device.swept, device.dropped
  end
  return seal(name, cmsgpack.pack(v))
end

local function deskOf(c, name)
  local d = c.desks[name]
  if not d then
    d = parseDesk(c.k, name, c.rows[name] or redis.call('HGET', c.k.desks, name))
    c.desks[name] = d
  end
  return d
end

local function deviceOf(d, id)
  local device = d.devices[id]
  if not device then
    if d.count >= MAX_DEVICES then return nil end
    device = { cursor = 0, swept = 0, dropped = -1 }
    d.devices[id], d.count = device, d.count + 1
  end
  return device
end

local function orgOf(c, name)
  local o = c.orgs[name]
  if not o then
    o = { records = 0, bytes = 0 }
    local row = redis.call('HGET', c.k.orgs, name)
    if row then
      local records, bytes = string.match(row, '^(%d+) (%d+)$')
      o.records, o.bytes = tonumber(records or 0), tonumber(bytes or 0)
    end
    c.orgs[name] = o
  end
  return o
end

-- Records -----------------------------------------------------------------------

-- append writes a record at the next position. Where an operator has added an
-- entry by hand, positions go on behind it.
local function append(c, name, d, slip, record)
  local key = c.k.mail .. name
  local pos = d.last + 1
  local done = redis.pcall('XADD', key, dec(pos) .. '-0', 's', slip, 'r', record)
  if type(done) == 'table' and done.err then
    pos = recovered(c.k, name).last + 1
    redis.call('XADD', key, dec(pos) .. '-0', 's', slip, 'r', record)
  end
  d.last = pos
  c.dirty[name] = true
  return pos
end

local function enter(c, name, pos, id, org, size, targets, expires)
  local at = hex(pos)
  local n = #c.index
  c.index[n + 1], c.index[n + 2] = 0, name .. '\0' .. at .. fmt('%08x', size) .. org .. '\0' .. targets
  c.ends[n + 1], c.ends[n + 2] = expires, name .. '\0' .. at .. id
  return at
end

local function parseIndex(name, member)
  local n = #name
  local stop = find(member, '\0', n + 24)
  if not stop then return nil end
  return {
    member = member, at = unhex(sub(member, n + 2, n + 15)), size = unhex(sub(member, n + 16, n + 23)) or 0,
    org = sub(member, n + 24, stop - 1), targets = sub(member, stop + 1),
  }
end

local function indexAt(c, name, at)
  local found = redis.call('ZRANGEBYLEX', c.k.index, '[' .. name .. '\0' .. at, '[' .. name .. '\0' .. at .. '\255', 'LIMIT', 0, 1)
  return found[1] and parseIndex(name, found[1])
end

-- state reports whether all targets have passed a record, and whether one of them
-- acknowledged it.
local function state(d, e)
  local passed, delivered = true, false
  for i = 1, #e.targets, 16 do
    local device = d.devices[sub(e.targets, i, i + 15)]
    if not device then
      passed = false
    elseif device.cursor >= e.at then
      delivered = true
    elseif device.dropped < 0 then
      passed = false
    end
  end
  return passed, delivered
end

local function finished(d, e)
  local passed, delivered = state(d, e)
  return passed and (delivered or e.org == '')
end

-- remove deletes records that parseIndex gave. What is known of their ids stays.
local function remove(c, name, d, list)
  if #list == 0 then return end
  local members, entries = {}, {}
  for i, e in ipairs(list) do
    members[i], entries[i] = e.member, dec(e.at) .. '-0'
    if e.org ~= '' then
      local o = orgOf(c, e.org)
      d.records, d.bytes = math.max(0, d.records - 1), math.max(0, d.bytes - e.size)
      o.records, o.bytes = math.max(0, o.records - 1), math.max(0, o.bytes - e.size)
      c.dirtyOrgs[e.org] = true
    end
  end
  c.dirty[name] = true
  each('ZREM', c.k.index, members)
  each('XDEL', c.k.mail .. name, entries)
end

-- sweepFor deletes what one device was the last to pass, looking at no more than
-- budget records, and returns how many it looked at.
local function sweepFor(c, name, d, device, budget)
  local goal = math.max(device.cursor, device.dropped)
  if device.swept >= goal then return 0 end
  local found = redis.call('ZRANGEBYLEX', c.k.index, '(' .. name .. '\0' .. hex(device.swept) .. '\255',
    '[' .. name .. '\0' .. hex(goal) .. '\255', 'LIMIT', 0, budget)
  local gone, last = {}, goal
  for _, member in ipairs(found) do
    local e = parseIndex(name, member)
    if e and e.at then
      last = e.at
      if finished(d, e) then gone[#gone + 1] = e end
    end
  end
  device.swept = #found < budget and goal or last
  remove(c, name, d, gone)
  c.dirty[name] = true
  return #found
end

local function sweep(c, budget)
  for name in pairs(c.moved) do
    local d, rest = deskOf(c, name), false
    for _, device in pairs(d.devices) do
      if budget > 0 then budget = budget - sweepFor(c, name, d, device, budget) end
      if device.swept < math.max(device.cursor, device.dropped) then rest = true end
    end
    if rest then
      redis.call('SADD', c.k.behind, name)
    elseif c.wasBehind[name] then
      redis.call('SREM', c.k.behind, name)
    end
  end
end

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

local function put(c, i)
  local field = c.args[i] .. '\0' .. c.args[i + 1]
  local row = c.ids[field]
  if not row then return putNew(c, i, field) end
  if sub(row, 16, 47) ~= sub(c.args[i + 2], 1, 32) then return 'C' end
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

-- How many arguments each operation has, and where its id stands, if it needs
-- what is known of it.
local OPS = {
  P = { put, 7, 1 }, A = { ack, 3 }, D = { drop, 2 }, T = { attend, 3, 1 }, N = { notice, 5 },
  F = { finish, 3, 2 }, Q = { quarantine, 3, 2 },
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

-- due sets the bucket's clock forward, goes on with deletions that are behind, and
-- lists at most args[3] of what has expired: member, score, three flags (known,
-- stored, delivered) and what the put said.
local function due(keys, args)
  local k, now = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  if tonumber(args[2]) > now then redis.call('HSET', k.meta, 'now', args[2]) end
  local c = { k = k, rows = {}, desks = {}, orgs = {}, dirty = {}, dirtyOrgs = {}, moved = {}, wasBehind = {} }
  for _, name in ipairs(redis.call('SRANDMEMBER', k.behind, 8)) do
    c.moved[name], c.wasBehind[name] = true, true
  end
  sweep(c, SWEEP)
  local list = redis.call('ZRANGEBYSCORE', k.ends, '-inf', args[2], 'WITHSCORES', 'LIMIT', 0, tonumber(args[3]))
  local out = {}
  for i = 1, #list, 2 do
    local member = list[i]
    local n = find(member, '\0', 1)
    local name, at = sub(member, 1, n - 1), sub(member, n + 1, n + 14)
    local field = name .. '\0' .. sub(member, n + 15)
    local row = unseal(field, redis.call('HGET', k.ids, field))
    if row and sub(row, 1, 14) ~= at then row = nil end
    local e = indexAt(c, name, at)
    local flags = (row and '1' or '0') .. (e and '1' or '0')
    local delivered = e and (e.org == '' or select(2, state(deskOf(c, name), e)))
    out[#out + 1] = member
    out[#out + 1] = list[i + 1]
    out[#out + 1] = flags .. (delivered and '1' or '0')
    out[#out + 1] = row and sub(row, 16) or ''
  end
  return { out, flushCounts(c) }
end

-- page reads a mailbox after args[3] within args[4] records and args[5] bytes. The
-- index says how much fits, so that nothing large is read for nothing.
local function page(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local name, after, most, bytes = args[2], args[3], tonumber(args[4]), tonumber(args[5])
  local found = redis.call('ZRANGEBYLEX', k.index, '(' .. name .. '\0' .. hex(tonumber(after)) .. '\255',
    '[' .. name .. '\0\255', 'LIMIT', 0, most)
  local size, upto, count = 0, nil, 0
  for _, member in ipairs(found) do
    local e = parseIndex(name, member)
    if not e or not e.at then break end
    size = size + e.size
    if count > 0 and size > bytes then break end
    count, upto = count + 1, dec(e.at)
  end
  local key, from = k.mail .. name, '(' .. after .. '-18446744073709551615'
  local entries = redis.call('XRANGE', key, from, upto or '+', 'COUNT', upto and most or 1)
  local last = upto or after
  if #entries == most and count > 0 or not upto and #entries > 0 then
    last = string.match(entries[#entries][1], '^(%d+)')
  end
  local more = redis.call('XRANGE', key, '(' .. last .. '-18446744073709551615', '+', 'COUNT', 1)
  return { entries, last, #more }
end

local function cursor(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local d = parseDesk(k, args[2], redis.call('HGET', k.desks, args[2]))
  local device = d.devices[args[3]] or { cursor = 0, dropped = -1 }
  return { device.cursor, d.last, device.dropped >= 0 and 1 or 0 }
end

-- waiting lists at most args[3] fields after args[2] with what is known of each;
-- empty when that is damaged.
local function waiting(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local fields = redis.call('ZRANGEBYLEX', k.waiting, args[2], '+', 'LIMIT', 0, tonumber(args[3]))
  local out = {}
  for _, field in ipairs(fields) do
    out[#out + 1] = field
    out[#out + 1] = unseal(field, redis.call('HGET', k.ids, field)) or ''
  end
  return out
end

-- entry returns what stands at a position, and what is known of its id.
local function entry(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local entries = redis.call('XRANGE', k.mail .. args[2], args[3], args[3])
  local known = ''
  if #entries == 1 and #entries[1][2] == 4 and #entries[1][2][2] >= 16 then
    local field = args[2] .. '\0' .. sub(entries[1][2][2], 1, 16)
    known = unseal(field, redis.call('HGET', k.ids, field)) or ''
  end
  return { entries, known }
end

-- begin gives a bucket its marker: the caller found that not all have the same.
local function begin(keys, args)
  return redis.call('HSET', keys[1], 'epoch', args[1], 'format', '1')
end

redis.register_function('begin_VERSION', begin)
redis.register_function('commit_VERSION', function(keys, args) return batch(keys, args, true) end)
redis.register_function { function_name = 'drain_VERSION', flags = { 'allow-oom' },
  callback = function(keys, args) return batch(keys, args, false) end }
redis.register_function { function_name = 'due_VERSION', callback = due, flags = { 'allow-oom' } }
redis.register_function { function_name = 'page_VERSION', callback = page, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'cursor_VERSION', callback = cursor, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'waiting_VERSION', callback = waiting, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'entry_VERSION', callback = entry, flags = { 'no-writes', 'allow-oom' } }
