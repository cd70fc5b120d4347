-- due sets the bucket's clock forward, lists at most args[3] of what has expired
-- (member, score, three flags (known, stored, delivered) and what the put said), and
-- names desks whose deletions are behind.
local function due(keys, args)
  local k, now = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  if tonumber(args[2]) > now then redis.call('HSET', k.meta, 'now', args[2]) end
  local c = { k = k, rows = {}, desks = {} }
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
  return { out, redis.call('SRANDMEMBER', k.behind, 8) }
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

-- vouched says who this server is, what it was before it took over, and what the
-- bucket's meta says; without a key only the first.
local function vouched(keys)
  local former = string.match(redis.call('INFO', 'replication'), 'master_replid2:(%x+)')
  if not keys[1] then return { who(), former } end
  local meta = redis.call('HMGET', keys[1], 'epoch', 'by', 'format')
  return { who(), former, meta[1] or '', meta[2] or '', meta[3] or '' }
end

-- vouch gives a bucket a marker and its server's identity, if all three are still
-- what the caller has seen: marker, who was vouched for, and who this server is.
local function vouch(keys, args)
  local meta = redis.call('HMGET', keys[1], 'epoch', 'by')
  if (meta[1] or '') ~= args[1] or (meta[2] or '') ~= args[2] or who() ~= args[3] then return 0 end
  redis.call('HSET', keys[1], 'epoch', args[4], 'by', args[3], 'format', '1')
  return 1
end

-- touch writes, so that a WAIT behind it also covers what was written long ago and
-- is now only confirmed.
local function touch(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  return redis.call('HSET', keys[1], 'touched', 1)
end

redis.register_function { function_name = 'vouched_VERSION', callback = vouched, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'vouch_VERSION', callback = vouch, flags = { 'allow-oom' } }
redis.register_function { function_name = 'touch_VERSION', callback = touch, flags = { 'allow-oom' } }
redis.register_function('commit_VERSION', function(keys, args) return batch(keys, args, true) end)
redis.register_function { function_name = 'drain_VERSION', flags = { 'allow-oom' },
  callback = function(keys, args) return batch(keys, args, false) end }
redis.register_function { function_name = 'due_VERSION', callback = due, flags = { 'allow-oom' } }
redis.register_function { function_name = 'page_VERSION', callback = page, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'cursor_VERSION', callback = cursor, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'waiting_VERSION', callback = waiting, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'entry_VERSION', callback = entry, flags = { 'no-writes', 'allow-oom' } }
