-- The queue's state changes, one bucket of mailboxes at a time. Every function
-- gets the bucket's meta hash as its first key, from whose hash tag the others are
-- made, so that a call touches one slot; the caller declares all that it may touch,
-- so that Redis refuses a call as a whole while a slot moves. What stands where:
--
--   meta      hash    epoch (a marker), by (who was vouched for), now (of the latest
--                     expiry), format, touched
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

-- who is this process and its history: the second part changes whenever it follows
-- another or takes over, and with it whatever may have been lost meanwhile.
local process
local function who()
  process = process or string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  return process .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

-- opened returns the bucket's names and its clock, or nil when this is not the
-- store that the caller opened: not its marker, or not in the process that was
-- vouched for.
local function opened(keys, epoch)
  local k = names(keys[1])
  local meta = redis.call('HMGET', k.meta, 'epoch', 'by', 'now')
  if meta[1] ~= epoch or meta[2] ~= who() then return nil end
  return k, tonumber(meta[3] or '') or 0
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
