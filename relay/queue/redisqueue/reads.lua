-- parseLines returns position and desk 0 id of each line of a row of ends, flat, and
-- how many lines are damaged.
local function parseLines(lines)
  local list, damaged, from = {}, 0, 1
  while from <= #lines do
    local stop = find(lines, '\0', from + 14)
    if stop and sub(lines, stop + 17, stop + 17) == '\n' and unhex(sub(lines, from, from + 13)) then
      list[#list + 1], list[#list + 2] = sub(lines, from, from + 13), sub(lines, from + 14, stop + 16)
      from = stop + 18
    else
      damaged = damaged + 1
      from = (find(lines, '\n', from) or #lines) + 1
    end
  end
  return list, damaged
end

-- living lists what of a row of ends is still there: position, desk 0 id, three
-- flags (known, stored, delivered) and what the put said. It counts what it looks at.
local function living(c, lines, looked)
  local list, damaged = parseLines(lines)
  looked.lines = looked.lines + #list / 2
  local out = {}
  for i = 1, #list, 2 do
    local at, field = list[i], list[i + 1]
    local name = sub(field, 1, -18)
    local known, _, said = knownOf(field, redis.call('HGET', c.k.ids, field))
    known = known == at
    local e, foreign = stored(c, name, unhex(at))
    looked.bytes = looked.bytes + (e and e.size or 0)
    local ours = e and (known or name .. '\0' .. e.id == field) or foreign and known
    if known or ours then
      local delivered = e and (e.org == '' or e.pos <= select(2, reach(deskOf(c, name), e.targets)))
      local n = #out
      out[n + 1], out[n + 2] = at, field
      out[n + 3] = (known and '1' or '0') .. (ours and '1' or '0') .. (delivered and '1' or '0')
      out[n + 4] = known and said or ''
    end
  end
  return out, damaged
end

-- due sets the bucket's clock forward, goes on with deletions that are behind, and
-- lists what has expired, oldest first, in whole rows of ends until they have at
-- least args[3] lines, or it has looked at much: expiry, damaged lines, and what
-- living says. It deletes rows of which nothing is left.
local function due(keys, args)
  local k, now = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  if tonumber(args[2]) > now then redis.call('HSET', k.meta, 'now', args[2]) end
  local c = { k = k, rows = {}, desks = {}, orgs = {}, dirty = {}, dirtyOrgs = {}, moved = {}, wasBehind = {} }
  for _, name in ipairs(redis.call('SRANDMEMBER', k.behind, 8)) do
    c.moved[name], c.wasBehind[name] = true, true
  end
  sweep(c, SWEEP)
  local out, gone, looked = {}, {}, { lines = 0, bytes = 0 }
  local left, from = tonumber(args[3]), 0
  repeat
    local row = redis.call('ZRANGEBYSCORE', k.ends, '-inf', args[2], 'WITHSCORES', 'LIMIT', from, 1)
    if not row[1] then break end
    local alive, damaged = living(c, row[1], looked)
    if #alive == 0 then gone[#gone + 1] = row[1] end
    if #alive > 0 or damaged > 0 then out[#out + 1] = { row[2], damaged, alive } end
    left, from = left - #alive / 4, from + 1
  until left <= 0 or looked.lines > SWEEP or looked.bytes > DUE_BYTES
  each('ZREM', k.ends, gone)
  return { out, flushCounts(c) }
end

-- page reads a mailbox after args[3] within args[4] records and args[5] bytes, or
-- one record more than these bytes.
local function page(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local key, most, left = k.mail .. args[2], tonumber(args[4]), tonumber(args[5])
  local out, full = {}, false
  local ended = walk(key, '(' .. args[3] .. '-18446744073709551615', '+', most, left, function(entry)
    left = left - (parseSlip(entry[2][2] or '') or 0)
    full = full or left < 0 and #out > 0
    if not full then out[#out + 1] = entry end
  end)
  local more = full
  if not ended and not full then
    more = #redis.call('XRANGE', key, '(' .. out[#out][1], '+', 'COUNT', 1) > 0
  end
  return { out, more and 1 or 0 }
end

local function cursor(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local d = parseDesk(k, args[2], redis.call('HGET', k.desks, args[2]))
  local device = devicesOf(d)[args[3]] or { cursor = 0 }
  return { device.cursor, d.last, device.dropped and 1 or 0 }
end

-- known reads what is known of an id, as parseKnown in encode.go expects it; empty
-- when that is damaged.
local function known(k, field)
  local at, attended, said = knownOf(field, redis.call('HGET', k.ids, field))
  return at and at .. attended .. said or ''
end

-- waiting lists at most args[3] fields after args[2] with what is known of each.
local function waiting(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local fields = redis.call('ZRANGEBYLEX', k.waiting, args[2], '+', 'LIMIT', 0, tonumber(args[3]))
  local out = {}
  for _, field in ipairs(fields) do
    out[#out + 1], out[#out + 2] = field, known(k, field)
  end
  return out
end

-- entry returns what stands at a position, and what is known of its id.
local function entry(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local entries = redis.call('XRANGE', k.mail .. args[2], args[3], args[3])
  local id = #entries == 1 and sub(entries[1][2][2] or '', 7, 22) or ''
  return { entries, known(k, args[2] .. '\0' .. id) }
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
