-- due sets the bucket's clock forward, lists rows of ends that have expired, oldest
-- first, with their expiries (as many as args[3] lines can fill, and at least one),
-- and names desks whose deletions are behind.
local function due(keys, args)
  local k, now = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  if tonumber(args[2]) > now then redis.call('HSET', k.meta, 'now', args[2]) end
  local out, left = {}, LINE * tonumber(args[3])
  while left > 0 do
    local row = redis.call('ZRANGEBYSCORE', k.ends, '-inf', args[2], 'WITHSCORES', 'LIMIT', #out / 2, 1)
    if not row[1] then break end
    out[#out + 1], out[#out + 2] = row[1], row[2]
    left = left - #row[1]
  end
  return { out, redis.call('SRANDMEMBER', k.behind, 8) }
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
  redis.call('HSET', keys[1], 'epoch', args[4], 'by', args[3], 'format', '2')
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
