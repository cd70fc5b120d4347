-- What the relays of one store agree on beside mailboxes. All keys are named by the
-- caller; the first is the meta hash of their bucket.
--
--   register       hash  index -> sealed root of 32 bytes, text: see relay/register
--   register-keys  hash  device, epoch -> sealed recipient string
--   register-cosign hash "asked" -> root of 32 bytes, seconds of 10 digits, size: what
--                        witnesses are asked for, since when; "served" -> size, newline,
--                        checkpoint; "w:" and witness -> seconds, newline, line.
--                        Relays verify all of it by signatures
--   register-aside list  rows that did not count, for the operator
--   sessions       hash  device -> number of its latest login, per bucket of its desk
--   meta           hash  of bucket 0: pause, until when no new row is taken; keeper and
--                        keeps, which relay looks for what expired, and until when
--
-- A sealed row begins with eight digits of SHA-1 as elsewhere; its place is its index.

local PAUSE = 10

local function seal(place, row) return sub(redis.sha1hex(place .. '\0' .. row), 1, 8) .. row end

-- rowAt returns nil for a row that is missing, damaged or too short for a root.
local function rowAt(log, index)
  local place = dec(index)
  local row = unseal(place, redis.call('HGET', log, place))
  return row and #row >= 32 and row or nil
end

-- rootAt is the root of the first so many rows; empty at the beginning, false where
-- the row is missing or damaged.
local function rootAt(log, size)
  if size == 0 then return '' end
  local row = rowAt(log, size - 1)
  return row and sub(row, 1, 32)
end

-- ahead reports whether a time that was set at most so many seconds ahead has not
-- come. A clock that was set back must not make that last for ever.
local function ahead(time, now, seconds)
  local upto = tonumber(time or 0) or 0
  return now < upto and upto <= now + seconds
end

local function pause(k, now) redis.call('HSET', k.meta, 'pause', dec(now + PAUSE)) end

-- registerAppend adds rows at args[4] if the log ends there with root args[5].
-- args[6]: 1 when the rows are only given back. args[7..9]: how many rows, keys and
-- ended keys follow. Answers 1, 0 for another end, 2 while only rows are taken that
-- are given back.
local function registerAppend(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local log, at, rows = keys[2], tonumber(args[4]), tonumber(args[7])
  local now = tonumber(redis.call('TIME')[1])
  if rows > 0 then
    if redis.call('HLEN', log) ~= at or rootAt(log, at) ~= args[5] then return 0 end
    if args[6] == '1' then
      pause(k, now)
    elseif ahead(redis.call('HGET', k.meta, 'pause'), now, PAUSE) then
      return 2
    end
  end
  local added, i = {}, 10
  for index = at, at + rows - 1 do
    added[#added + 1], added[#added + 2] = dec(index), seal(dec(index), args[i])
    i = i + 1
  end
  each('HSET', log, added)
  local given = {}
  for _ = 1, tonumber(args[8]) do
    given[#given + 1], given[#given + 2] = args[i], seal(args[i], args[i + 1])
    i = i + 2
  end
  each('HSET', keys[3], given)
  local ended = {}
  for _ = 1, tonumber(args[9]) do
    ended[#ended + 1] = args[i]
    i = i + 1
  end
  each('HDEL', keys[3], ended)
  redis.call('PUBLISH', args[2], 'register\n' .. args[3])
  return 1
end

-- registerRows reads from index args[2], or from the end: where it begins, the end,
-- the root before, and at most args[3] rows of about args[4] bytes together. A row
-- that is missing or damaged is empty.
local function registerRows(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local log, bytes = keys[2], tonumber(args[4])
  local size = redis.call('HLEN', log)
  local from = math.min(tonumber(args[2]), size)
  local out, total = {}, 0
  for index = from, math.min(size, from + tonumber(args[3])) - 1 do
    if total >= bytes then break end
    local row = rowAt(log, index) or ''
    out[#out + 1], total = row, total + #row
  end
  return { from, size, rootAt(log, from) or '', out }
end

-- registerKeys returns recipient strings by their names, empty where there is none.
local function registerKeys(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local names, out = {}, {}
  for i = 2, #args do names[#names + 1] = args[i] end
  local rows = fetch(keys[2], names)
  for i, name in ipairs(names) do out[i] = unseal(name, rows[name]) or '' end
  return out
end

-- registerAside takes the row at args[4] and all after it away, if it is still
-- args[5]; an empty one stands for a row that is missing or damaged.
local function registerAside(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local log, from = keys[2], tonumber(args[4])
  if (rowAt(log, from) or '') ~= args[5] then return 0 end
  local all, gone = redis.call('HGETALL', log), {}
  for i = 1, #all, 2 do
    local index = tonumber(all[i])
    if not index or index >= from then
      redis.call('LPUSH', keys[3], cmsgpack.pack({ all[i], all[i + 1] }))
      gone[#gone + 1] = all[i]
    end
  end
  redis.call('LTRIM', keys[3], 0, CHUNK)
  each('HDEL', log, gone)
  pause(k, tonumber(redis.call('TIME')[1]))
  redis.call('PUBLISH', args[2], 'register\n' .. args[3])
  return 1
end

local AGREED = 120

-- asked returns the size that witnesses are asked for and since when, or nothing where
-- that is no place in the log (any more).
local function askedFor(log, cosign)
  local is = redis.call('HGET', cosign, 'asked')
  local since, size = is and tonumber(sub(is, 33, 42)), is and tonumber(sub(is, 43))
  if not since or not size or size < 1 or rootAt(log, size) ~= sub(is, 1, 32) then return nil end
  return size, since
end

-- later writes a value of a time or size and a text where there is none or an earlier.
local function later(cosign, field, number, text)
  local is = redis.call('HGET', cosign, field)
  local had = is and tonumber(string.match(is, '^%d+'))
  if had and had >= number then return false end
  redis.call('HSET', cosign, field, dec(number) .. '\n' .. text)
  return true
end

-- registerCosign brings together what witnesses signed at several relays. args[4]: the
-- size up to which nothing is asked for any more; args[5], args[6]: size and root that this
-- relay asks for; args[7], args[8]: size and checkpoint that it serves; then lines, each a
-- witness, a time and a text. What is asked for stays until it is served, or until it
-- is old and somebody has more. Answers as the arguments are: size, root, served, lines.
local function registerCosign(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local log, cosign = keys[2], keys[3]
  local after, size, root = tonumber(args[4]), tonumber(args[5]), args[6]
  local now, changed = tonumber(redis.call('TIME')[1]), false
  local is = redis.call('HGET', cosign, 'served')
  local had = is and tonumber(string.match(is, '^%d+'))
  if had and had > redis.call('HLEN', log) then redis.call('HDEL', cosign, 'served') end
  local at, since = askedFor(log, cosign)
  if not at or size > at and (at <= after or not ahead(since + AGREED, now, AGREED)) then
    if rootAt(log, size) ~= root then return { 0, '', 0, '', {} } end
    local all, gone = redis.call('HGETALL', cosign), {}
    for i = 1, #all, 2 do
      if all[i] ~= 'served' then gone[#gone + 1] = all[i] end
    end
    each('HDEL', cosign, gone)
    redis.call('HSET', cosign, 'asked', root .. string.format('%010d', now) .. dec(size))
    at, changed = size, true
  end
  if tonumber(args[7]) > 0 then changed = later(cosign, 'served', tonumber(args[7]), args[8]) or changed end
  for i = 9, at == size and #args or 0, 3 do
    changed = later(cosign, 'w:' .. args[i], tonumber(args[i + 1]), args[i + 2]) or changed
  end
  if changed then redis.call('PUBLISH', args[2], 'register\n' .. args[3]) end
  local served, note, lines, all = 0, '', {}, redis.call('HGETALL', cosign)
  for i = 1, #all, 2 do
    local number, text = string.match(all[i + 1], '^(%d+)\n(.*)$')
    if all[i] == 'served' and number then
      served, note = tonumber(number), text
    elseif sub(all[i], 1, 2) == 'w:' and number then
      lines[#lines + 1], lines[#lines + 2], lines[#lines + 3] = sub(all[i], 3), tonumber(number), text
    end
  end
  return { at, rootAt(log, at), served, note, lines }
end

-- sessionBegin gives a login of device args[4] its number and tells the others.
local function sessionBegin(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local number = tonumber(redis.call('HGET', keys[2], args[4]) or 0) + 1
  redis.call('HSET', keys[2], args[4], dec(number))
  redis.call('PUBLISH', args[2], 'session\n' .. args[3] .. '\n' .. dec(number) .. '\n' .. args[4])
  return number
end

-- sessionNumbers returns the numbers of devices args[2...], 0 where there is none.
local function sessionNumbers(keys, args)
  if not opened(keys, args[1]) then return redis.error_reply(EPOCH) end
  local devices, out = {}, {}
  for i = 2, #args do devices[#devices + 1] = args[i] end
  local numbers = fetch(keys[2], devices)
  for i, device in ipairs(devices) do out[i] = tonumber(numbers[device] or 0) end
  return out
end

-- housekeep makes relay args[2] the one that looks for what expired, for args[3]
-- seconds, unless another is: every relay would find the same, and tell it again.
local function housekeep(keys, args)
  local k = opened(keys, args[1])
  if not k then return redis.error_reply(EPOCH) end
  local now, seconds = tonumber(redis.call('TIME')[1]), tonumber(args[3])
  local is = redis.call('HMGET', k.meta, 'keeper', 'keeps')
  if is[1] and is[1] ~= args[2] and ahead(is[2], now, seconds) then return 0 end
  redis.call('HSET', k.meta, 'keeper', args[2], 'keeps', dec(now + seconds))
  return 1
end

-- A revocation, and a login, must not wait for a full mailbox to be read.
redis.register_function { function_name = 'register_append_VERSION', callback = registerAppend, flags = { 'allow-oom' } }
redis.register_function { function_name = 'register_aside_VERSION', callback = registerAside, flags = { 'allow-oom' } }
redis.register_function { function_name = 'register_cosign_VERSION', callback = registerCosign, flags = { 'allow-oom' } }
redis.register_function { function_name = 'session_begin_VERSION', callback = sessionBegin, flags = { 'allow-oom' } }
redis.register_function { function_name = 'housekeep_VERSION', callback = housekeep, flags = { 'allow-oom' } }
redis.register_function { function_name = 'register_rows_VERSION', callback = registerRows, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'register_keys_VERSION', callback = registerKeys, flags = { 'no-writes', 'allow-oom' } }
redis.register_function { function_name = 'session_numbers_VERSION', callback = sessionNumbers, flags = { 'no-writes', 'allow-oom' } }
