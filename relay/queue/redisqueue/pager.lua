-- What pages for envelopes that nobody attends: see relay/oncall. All keys are named
-- by the caller; the first is the meta hash of their bucket.
--
--   pager       hash  of bucket 0: node, until, term: which relay keeps the timers, until
--                     when, and its number; steady, at: its time, and when that was, by
--                     this server; key: from which references are made
--   meta        hash  pager: the highest term that wrote here
--   timers      hash  desk 0 id -> row, whose checksum is the relay's affair
--   arrived     list  desk 0 id, newest first: waits, and whoever keeps the timers has
--                     not heard of it
--   plans       hash  desk -> sealed serial of 20 digits, plan
--   logged      hash  desk -> number of the latest row of its log
--   paged:DESK  list  sealed number of 20 digits, row; newest first
--
-- Times are milliseconds.

local function millis()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- hold gives relay args[2] the timers for args[3] from now, unless another has them. For
-- no time it gives them up, which only who has them can.
-- args[4] is the time that it has followed, 0 for none, and args[5] the key for the
-- first. Answers whether it has them, the term, the time to go on from, and the key.
local function hold(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local now, node, span, followed = millis(), args[2], tonumber(args[3]), tonumber(args[4])
  local is = redis.call('HMGET', keys[2], 'node', 'until', 'term', 'steady', 'at', 'key')
  local term, steady, key = tonumber(is[3] or 0), tonumber(is[4] or now), is[6] or args[5]
  local passed = math.max(0, now - tonumber(is[5] or now))
  local others = is[1] and is[1] ~= '' and is[1] ~= node
  if others and (span == 0 or ahead(is[2], now, span)) then
    return { 0, term, steady + math.min(passed, span), key }
  end
  if is[1] ~= node then
    term = term + 1
    if followed == 0 then followed = steady + passed end
  end
  steady = math.max(steady, followed)
  redis.call('HSET', keys[2], 'node', span > 0 and node or '', 'until', dec(now + span), 'term', dec(term),
    'steady', dec(steady), 'at', dec(now), 'key', key)
  return { span > 0 and 1 or 0, term, steady, key }
end

-- lost reports that a relay with a higher term than this was here.
local function lostTimers(k, term)
  local seen = tonumber(redis.call('HGET', k.meta, 'pager') or 0)
  if seen > term then return true end
  if seen < term then redis.call('HSET', k.meta, 'pager', dec(term)) end
  return false
end

-- ended reports that nobody has to attend an envelope any more. A damaged row does not
-- say so.
local function ended(k, field)
  local row = redis.call('HGET', k.ids, field)
  if not row then return true end
  local _, attended = knownOf(field, row)
  return attended == '1'
end

-- timersWrite replaces rows: args[3...] are names, what each must be, and what it
-- becomes. Answers 0 when another keeps the timers, or for each K, G, or S with what
-- it is.
local function timersWrite(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  if lostTimers(k, tonumber(args[2])) then return 0 end
  local out = {}
  for i = 3, #args, 3 do
    local field, before, after = args[i], args[i + 1], args[i + 2]
    local now = redis.call('HGET', keys[2], field) or ''
    if after ~= '' and ended(k, field) then
      redis.call('HDEL', keys[2], field)
      out[#out + 1] = 'G'
    elseif now ~= before and now ~= after then
      out[#out + 1] = 'S' .. now
    else
      if after == '' then
        redis.call('HDEL', keys[2], field)
      elseif now ~= after then
        redis.call('HSET', keys[2], field, after)
      end
      out[#out + 1] = 'K'
    end
  end
  return out
end

local function timersRows(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  return redis.call('HGETALL', keys[2])
end

-- timersArrived takes at most args[3] of what arrived, and what is known of each that
-- still waits. Answers 0 when another keeps the timers.
local function timersArrived(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local most = tonumber(args[3])
  local fields = redis.call('LRANGE', k.arrived, -most, -1)
  if #fields == 0 then return {} end
  if lostTimers(k, tonumber(args[2])) then return 0 end
  redis.call('LTRIM', k.arrived, 0, -#fields - 1)
  local out = {}
  for _, field in ipairs(fields) do
    if not ended(k, field) then
      out[#out + 1], out[#out + 2] = field, known(k, field)
    end
  end
  return out
end

-- planPublish puts plan args[4] of serial args[3] in the place of one with a lower
-- serial. Answers 0 when the serial is too low.
local function planPublish(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local desk, serial, plan = args[2], args[3], args[4]
  local now = unseal(desk, redis.call('HGET', keys[2], desk))
  if now and sub(now, 21) == plan then return 1 end
  if now and serial <= sub(now, 1, 20) then return 0 end
  redis.call('HSET', keys[2], desk, seal(desk, serial .. plan))
  return 1
end

-- planRemove takes the plan of desk args[2] away. Answers how many there were.
local function planRemove(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  return redis.call('HDEL', keys[2], args[2])
end

local function planIs(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local now = unseal(args[2], redis.call('HGET', keys[2], args[2]))
  return now and sub(now, 21) or ''
end

-- pagedLog adds rows args[4...] to the log of desk args[2], and keeps args[3].
local function pagedLog(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local desk = args[2]
  local n = tonumber(redis.call('HGET', keys[2], desk) or 0)
  for i = 4, #args do
    n = n + 1
    redis.call('LPUSH', keys[3], seal(desk, fmt('%020d', n) .. args[i]))
  end
  redis.call('LTRIM', keys[3], 0, tonumber(args[3]) - 1)
  redis.call('HSET', keys[2], desk, dec(n))
  return n
end

-- pagedRows returns at most args[4] rows of the log of desk args[2] beyond number
-- args[3], oldest first. Damaged rows are left out.
local function pagedRows(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local rows, out = redis.call('LRANGE', keys[2], 0, -1), {}
  for i = #rows, 1, -1 do
    local row = unseal(args[2], rows[i])
    if row and sub(row, 1, 20) > args[3] and #out < tonumber(args[4]) then out[#out + 1] = row end
  end
  return out
end

-- Paging must go on while mailboxes are full.
redis.register_function { function_name = 'timers_hold_VERSION', callback = hold, flags = { 'allow-oom' } }
redis.register_function { function_name = 'timers_write_VERSION', callback = timersWrite, flags = { 'allow-oom' } }
redis.register_function { function_name = 'timers_arrived_VERSION', callback = timersArrived, flags = { 'allow-oom' } }
redis.register_function { function_name = 'plan_publish_VERSION', callback = planPublish, flags = { 'allow-oom' } }
redis.register_function { function_name = 'plan_remove_VERSION', callback = planRemove, flags = { 'allow-oom' } }
redis.register_function { function_name = 'paged_log_VERSION', callback = pagedLog, flags = { 'allow-oom' } }
redis.register_function { function_name = 'timers_rows_VERSION', callback = timersRows, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'plan_is_VERSION', callback = planIs, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'paged_rows_VERSION', callback = pagedRows, flags = { 'no-writes', 'allow-oom' } }
