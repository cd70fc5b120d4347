-- The queue's state changes, one bucket of mailboxes at a time. Every function
-- gets the bucket's meta hash as its first key, from whose hash tag the others are
-- made, so that a call touches one slot; the caller declares all that it may touch,
-- so that Redis refuses a call as a whole while a slot moves. What stands where:
--
--   meta      hash    epoch (a marker), by (who was vouched for), now (of the latest
--                     expiry), format, touched
--   desks     hash    desk -> last, records, bytes, devices; doubled
--   ids       hash    desk 0 id -> position, attended; twice; what the put said, sealed
--   ends      zset    expiry, lines of one call: position desk 0 id
--   waiting   zset    0, desk 0 id: has a tier, nobody attended
--   arrived   list    of those, what whoever pages has not heard of: see pager.lua
--   orgs      hash    organisation -> records bytes, of its envelopes in this bucket
--   behind    set     desks whose deletions one call could not finish
--   aside     list    damaged records, for the operator
--   mail:DESK stream  position-0: e = slip and record
--
-- Positions in rows are 14 hexadecimal digits. Rows are written twice or sealed with
-- eight digits of a SHA-1, with the place where they stand: against accidents, such
-- as a flipped bit in the append-only file. Hashing here costs more than storing, so
-- the relay seals what it knows beforehand.

local MAX_DEVICES = 1024
local SWEEP = 4096
local ASIDE = 127
local ARRIVED = 100000 -- more is found by a look at all that waits
local CHUNK = 1000
local SLICE = 64
local SWEEP_BYTES = 64 * 1024 * 1024
local LINE = 95 -- bytes of the longest line in ends

-- While a library is loaded, Redis has no string table yet.
local function sub(s, from, upto) return string.sub(s, from, upto) end
local function fmt(form, n) return string.format(form, n) end
local function find(s, what, from) return string.find(s, what, from, true) end

local function hex(n) return fmt('%014x', n) end
local function dec(n) return fmt('%d', n) end
local function unhex(s) return tonumber(s, 16) end

local function names(meta)
  local p = sub(meta, 1, -5)
  return {
    meta = meta, desks = p .. 'desks', ids = p .. 'ids', ends = p .. 'ends',
    waiting = p .. 'waiting', orgs = p .. 'orgs', behind = p .. 'behind', aside = p .. 'aside', arrived = p .. 'arrived', mail = p .. 'mail:',
  }
end

-- unseal returns nil for a row that is not there or damaged.
local function unseal(place, sealed)
  if not sealed then return nil end
  local row = sub(sealed, 9)
  if sub(sealed, 1, 8) ~= sub(redis.sha1hex(place .. '\0' .. row), 1, 8) then return nil end
  return row
end

-- double writes a row twice, with its place between; single undoes it, and returns
-- nil for a row that is not there or damaged.
local function double(place, row) return row .. place .. row end

local function single(place, doubled)
  if not doubled then return nil end
  local row = sub(doubled, 1, (#doubled - #place) / 2)
  if double(place, row) ~= doubled then return nil end
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

-- who is this process and its history: the second part changes whenever it follows
-- another or takes over, and with it whatever may have been lost meanwhile.
local process
local function who()
  process = process or string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  return process .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

-- whoIn asks once in a transaction, within which nobody takes over. A transaction has a
-- name that is never given again; without one every call asks.
local transaction, answered
local function whoIn(name)
  if name == '' then return who() end
  if name ~= transaction then transaction, answered = name, who() end
  return answered
end

-- opened returns the bucket's names and its clock, or nil when this is not the
-- store that the caller opened: not its marker, or not in the process that was
-- vouched for.
local function opened(keys, epoch, within)
  local k = names(keys[1])
  local meta = redis.call('HMGET', k.meta, 'epoch', 'by', 'now')
  if meta[1] ~= epoch or meta[2] ~= whoIn(within or '') then return nil end
  return k, tonumber(meta[3] or '') or 0
end

-- Desks -------------------------------------------------------------------------

local DESK, DEVICE = '>I6I6I6', '>c16I6I6I6'

-- recovered makes a desk's row from its stream, when the row is new or damaged.
-- Cursors begin again: devices recognise what they have.
local function recovered(k, name)
  local d = { key = k.mail .. name, last = 0, records = 0, bytes = 0, packed = '' }
  local stream = redis.pcall('XINFO', 'STREAM', d.key)
  if stream.err then return d end
  for i = 1, #stream, 2 do
    if stream[i] == 'length' then d.records = stream[i + 1] end
    if stream[i] == 'last-generated-id' then d.last = tonumber((string.match(stream[i + 1], '^(%d+)'))) end
  end
  return d
end

local function parseDesk(k, name, doubled)
  local row = single(name, doubled)
  if not row then return recovered(k, name) end
  local last, records, bytes, from = struct.unpack(DESK, row)
  return { key = k.mail .. name, last = last, records = records, bytes = bytes, packed = sub(row, from) }
end

-- devicesOf unpacks the devices of a desk: a put does not need them. dropped is
-- where the desk was when the device left, or nil.
local function devicesOf(d)
  if d.devices then return d.devices end
  d.devices, d.count = {}, 0
  local at = 1
  while at <= #d.packed do
    local id, cursor, swept, left
    id, cursor, swept, left, at = struct.unpack(DEVICE, d.packed, at)
    d.devices[id] = { cursor = cursor, swept = swept, dropped = left > 0 and left - 1 or nil }
    d.count = d.count + 1
  end
  return d.devices
end

local function packDevices(d)
  if not d.devices then return d.packed end
  local parts = {}
  for id, device in pairs(d.devices) do
    parts[#parts + 1] = struct.pack(DEVICE, id, device.cursor, device.swept, device.dropped and device.dropped + 1 or 0)
  end
  return table.concat(parts)
end

local function packDesk(name, d)
  return double(name, struct.pack(DESK, d.last, d.records, d.bytes) .. packDevices(d))
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
  local device = devicesOf(d)[id]
  if not device then
    if d.count >= MAX_DEVICES then return nil end
    device = { cursor = 0, swept = 0 }
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

-- knownOf returns position, whether attended, and what the put said of an id; nil
-- when nothing is known of it or its row is damaged.
local function knownOf(field, row)
  if not row or sub(row, 1, 15) ~= sub(row, 16, 30) then return nil end
  local said = unseal(field, sub(row, 31))
  if not said then return nil end
  return sub(row, 1, 14), sub(row, 15, 15), said
end

local function knownRow(at, attended, sealed) return at .. attended .. at .. attended .. sealed end

-- Records -----------------------------------------------------------------------

-- append writes an entry at the next position. Where an operator has added one by
-- hand, positions go on behind it.
local function append(c, name, d, entry)
  local pos = d.last + 1
  local done = redis.pcall('XADD', d.key, dec(pos), 'e', entry)
  if type(done) == 'table' and done.err then
    pos = recovered(c.k, name).last + 1
    redis.call('XADD', d.key, dec(pos), 'e', entry)
  end
  d.last = pos
  c.dirty[name] = true
  return pos
end

-- enter notes when a record ends.
local function enter(c, field, at, expires)
  local lines = c.ends[expires]
  if not lines then
    lines = {}
    c.ends[expires] = lines
  end
  local n = #lines
  lines[n + 1], lines[n + 2], lines[n + 3] = at, field, '\n'
end

-- parseSlip returns size, organisation and targets of an entry, as encode.go writes
-- them before the record; nil when they are damaged.
local function parseSlip(content)
  if #content < 22 then return nil end
  local size, org, targets = struct.unpack('>I4BB', content)
  if #content < 22 + org + 16 * targets + size then return nil end
  return size, sub(content, 23, 22 + org), sub(content, 23 + org, 22 + org + 16 * targets)
end

-- parseEntry returns nil for what is no entry of ours.
local function parseEntry(entry)
  local pos, content = string.match(entry[1], '^(%d+)%-0$'), entry[2][2]
  if not pos or #entry[2] ~= 2 then return nil end
  local size, org, targets = parseSlip(content)
  if not size then return nil end
  return { name = entry[1], pos = tonumber(pos), size = size, org = org, targets = targets }
end

-- walk visits the entries of a stream in their order: at most so many, and no more
-- after so many bytes. It reads in slices, no larger than what is left of the bytes
-- as far as it can tell. It returns whether it came to the end, how many there were,
-- and their bytes.
local function walk(key, from, upto, most, bytes, visit)
  local seen, size, count = 0, 0, 1
  repeat
    local entries = redis.call('XRANGE', key, from, upto, 'COUNT', count)
    for _, entry in ipairs(entries) do
      size = size + #(entry[2][2] or '')
      visit(entry)
    end
    seen = seen + #entries
    local last = entries[#entries]
    if #entries < count or last[1] == upto then return true, seen, size end
    from = '(' .. last[1]
    count = math.min(SLICE, most - seen, math.ceil((bytes - size) / (size / seen + 1)))
  until count < 1
  return false, seen, size
end

-- stored returns the entry at a position, with its id, and whether something stands
-- there that is not ours.
local function stored(c, name, pos)
  local found = redis.call('XRANGE', c.k.mail .. name, dec(pos) .. '-0', dec(pos) .. '-0')
  if not found[1] then return nil, false end
  local e = parseEntry(found[1])
  if not e then return nil, true end
  e.id = sub(found[1][2][2], 7, 22)
  return e, false
end

-- reach returns up to where all targets have passed what is for them, and up to
-- where at least one of them acknowledged it.
local function reach(d, targets)
  local passed, delivered = math.huge, 0
  for i = 1, #targets, 16 do
    local device = devicesOf(d)[sub(targets, i, i + 15)]
    local cursor = device and device.cursor or 0
    delivered = math.max(delivered, cursor)
    if not device or not device.dropped then passed = math.min(passed, cursor) end
  end
  return passed, delivered
end

-- remove deletes entries that parseEntry gave. What is known of their ids stays.
local function remove(c, name, d, list)
  if #list == 0 then return end
  local names = {}
  for i, e in ipairs(list) do
    names[i] = e.name
    if e.org ~= '' then
      local o = orgOf(c, e.org)
      d.records, d.bytes = math.max(0, d.records - 1), math.max(0, d.bytes - e.size)
      o.records, o.bytes = math.max(0, o.records - 1), math.max(0, o.bytes - e.size)
      c.dirtyOrgs[e.org] = true
    end
  end
  c.dirty[name] = true
  each('XDEL', d.key, names)
end

local function goalOf(device) return math.max(device.cursor, device.dropped or 0) end

-- sweepFor deletes what one device was the last to pass, looking at no more than
-- is left of the budget.
local function sweepFor(c, name, d, device, budget)
  local goal = goalOf(device)
  local gone, last = {}, device.swept
  local targets, passed, delivered
  local ended, seen, bytes = walk(d.key, dec(last + 1), dec(goal) .. '-0', budget.records, budget.bytes, function(entry)
    local e = parseEntry(entry)
    last = e and e.pos or tonumber((string.match(entry[1], '^%d+')))
    if not e then return end
    if e.targets ~= targets then
      targets = e.targets
      passed, delivered = reach(d, targets)
    end
    if e.pos <= passed and (e.pos <= delivered or e.org == '') then gone[#gone + 1] = e end
  end)
  device.swept = ended and goal or last
  budget.records, budget.bytes = budget.records - seen, budget.bytes - bytes
  remove(c, name, d, gone)
  c.dirty[name] = true
end

local function sweep(c, records)
  local budget = { records = records, bytes = SWEEP_BYTES }
  for name in pairs(c.moved) do
    local d, rest = deskOf(c, name), false
    for _, device in pairs(devicesOf(d)) do
      if device.swept < goalOf(device) and budget.records > 0 and budget.bytes > 0 then sweepFor(c, name, d, device, budget) end
      rest = rest or device.swept < goalOf(device)
    end
    if rest then
      redis.call('SADD', c.k.behind, name)
    elseif c.wasBehind[name] then
      redis.call('SREM', c.k.behind, name)
    end
  end
end
