import { createHash } from "node:crypto";

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

/*
 * A record is the value of `PREFIX c:COLLECTION:r:ID`: tenant, revision, position, times of making and change, expiry (0:
 * none), JSON, pairs of an index and the record's values in it, and the bytes that it counts for in `PREFIX held:TENANT`, 0 or
 * missing: it does not count. `PREFIX c:COLLECTION:i:INDEX` are sorted sets of equal
 * scores (see ordering.ts), beside `@all`, the order of making, and `@expires`, scored by time.
 */
const COMMON = `
local P = KEYS[1]
local function recordKey(c, id) return P .. 'c:' .. c .. ':r:' .. id end
local function indexKey(c, index) return P .. 'c:' .. c .. ':i:' .. index end
local function tailOf(position, id) return string.format('%014x', position) .. ':' .. id end
local function load(c, id)
  local packed = redis.call('GET', recordKey(c, id))
  if packed then return cmsgpack.unpack(packed) end
  return nil
end
local function isAlive(record, now) return record ~= nil and (record[6] == 0 or record[6] > now) end
local function held(record, sign)
  if not record[9] or record[9] == 0 then return end
  redis.call('HINCRBY', P .. 'held:' .. record[1], 'records', sign)
  redis.call('HINCRBY', P .. 'held:' .. record[1], 'bytes', string.format('%d', sign * record[9]))
end
local function drop(c, id, record)
  held(record, -1)
  local tail = tailOf(record[3], id)
  redis.call('ZREM', indexKey(c, '@all'), tail)
  redis.call('ZREM', indexKey(c, '@expires'), id)
  for i = 1, #record[8], 2 do redis.call('ZREM', indexKey(c, record[8][i]), record[8][i + 1] .. tail) end
  redis.call('DEL', recordKey(c, id))
end
local function shown(id, record)
  return { id, record[1], record[2], record[3], record[4], record[5], record[6], record[7] }
end
local function dropExpired(c, now, limit)
  local ids = redis.call('ZRANGEBYSCORE', indexKey(c, '@expires'), '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local record = load(c, id)
    if record then drop(c, id, record) else redis.call('ZREM', indexKey(c, '@expires'), id) end
  end
  return #ids
end
`;

const script = (body: string): Script => {
  const lua = `${COMMON}${body}`;
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
};

export const scripts = {
  /**
   * now, sender, channel, limits, then for each of them: tenant, records, bytes; then for each write: op, collection,
   * id, expectation or '', and for a put: tenant, JSON, expiry, counted bytes, pairs, index, values … Answers 1 and
   * revisions, or 0 and the write that failed, or 2, the limit that does not hold, and what is held.
   */
  commit: script(`
local now, sender, at = tonumber(ARGV[1]), ARGV[2], 4
local function argument() at = at + 1; return ARGV[at - 1] end
local limits, writes = {}, {}
for i = 1, tonumber(argument()) do
  limits[i] = { tenant = argument(), records = tonumber(argument()), bytes = tonumber(argument()) }
end
while at <= #ARGV do
  local write = { op = argument(), c = argument(), id = argument(), expect = argument() }
  if write.op == 'put' then
    write.tenant, write.json, write.expires, write.indexes = argument(), argument(), tonumber(argument()), {}
    write.held = tonumber(argument())
    for i = 1, 2 * tonumber(argument()) do write.indexes[i] = argument() end
  end
  write.before = load(write.c, write.id)
  if write.expect ~= '' then
    local revision = isAlive(write.before, now) and write.before[2] or 0
    if revision ~= tonumber(write.expect) then return { 0, #writes } end
  end
  writes[#writes + 1] = write
end
for i, limit in ipairs(limits) do
  local records, bytes = 0, 0
  for _, write in ipairs(writes) do
    local before = write.before
    if write.op == 'put' and write.held > 0 and write.tenant == limit.tenant then
      records, bytes = records + 1, bytes + write.held
    end
    if write.op ~= 'require' and before and before[1] == limit.tenant and (before[9] or 0) > 0 then
      records, bytes = records - 1, bytes - before[9]
    end
  end
  local now_held = redis.call('HMGET', P .. 'held:' .. limit.tenant, 'records', 'bytes')
  local has_records, has_bytes = tonumber(now_held[1] or 0), tonumber(now_held[2] or 0)
  if (records > 0 and has_records + records > limit.records) or (bytes > 0 and has_bytes + bytes > limit.bytes) then
    return { 2, i - 1, has_records, has_bytes }
  end
end
local function put(write)
  local c, id, before = write.c, write.id, write.before
  local position = before and before[3] or redis.call('INCR', P .. 'c:' .. c .. ':position')
  local tail, old = tailOf(position, id), {}
  if before then
    for i = 1, #before[8], 2 do old[before[8][i]] = before[8][i + 1] end
  else
    redis.call('ZADD', indexKey(c, '@all'), 0, tail)
  end
  for i = 1, #write.indexes, 2 do
    local index, values = write.indexes[i], write.indexes[i + 1]
    if old[index] ~= values then
      if old[index] then redis.call('ZREM', indexKey(c, index), old[index] .. tail) end
      redis.call('ZADD', indexKey(c, index), 0, values .. tail)
    end
    old[index] = nil
  end
  for index, values in pairs(old) do redis.call('ZREM', indexKey(c, index), values .. tail) end
  if write.expires > 0 then redis.call('ZADD', indexKey(c, '@expires'), write.expires, id)
  elseif before and before[6] > 0 then redis.call('ZREM', indexKey(c, '@expires'), id) end
  local revision = before and before[2] + 1 or 1
  if before then held(before, -1) end
  local created = before and before[4] or now
  local record =
    { write.tenant, revision, position, created, now, write.expires, write.json, write.indexes, write.held }
  redis.call('SET', recordKey(c, id), cmsgpack.pack(record))
  held(record, 1)
  return revision
end
local answer, changed = { 1 }, {}
for _, write in ipairs(writes) do
  local before, revision = write.before, 0
  if write.op == 'require' then
    revision = tonumber(write.expect)
  else
    if before and (write.op == 'remove' or not isAlive(before, now)) then
      drop(write.c, write.id, before)
      write.before = nil
    end
    if write.op == 'put' then revision = put(write) end
    changed[write.c] = changed[write.c] or { sender }
    table.insert(changed[write.c], write.id)
  end
  answer[#answer + 1] = revision
end
for c, ids in pairs(changed) do redis.call('PUBLISH', ARGV[3] .. c, cjson.encode(ids)) end
return answer
`),

  /** now, collection, id */
  get: script(`
local record = load(ARGV[2], ARGV[3])
if isAlive(record, tonumber(ARGV[1])) then return shown(ARGV[3], record) end
return false
`),

  /** now, collection, index, its number of fields, least and greatest member, descending, limit, most bytes */
  list: script(`
local now, c, key, fields = tonumber(ARGV[1]), ARGV[2], indexKey(ARGV[2], ARGV[3]), tonumber(ARGV[4])
local min, max, descending, limit, most = ARGV[5], ARGV[6], ARGV[7] == '1', tonumber(ARGV[8]), tonumber(ARGV[9])
local function idOf(member)
  local at = 1
  for _ = 1, fields do
    if string.sub(member, at, at) == 'n' then at = at + 17
    else
      local _, last = string.find(member, '\\0\\1', at, true)
      at = last + 1
    end
  end
  return string.sub(member, at + 15)
end
local answer, bytes = { 0 }, 0
while true do
  local members
  if descending then members = redis.call('ZREVRANGEBYLEX', key, max, min, 'LIMIT', 0, limit + 1)
  else members = redis.call('ZRANGEBYLEX', key, min, max, 'LIMIT', 0, limit + 1) end
  for _, member in ipairs(members) do
    local id = idOf(member)
    local record = load(c, id)
    if isAlive(record, now) then
      bytes = bytes + string.len(record[7])
      if #answer > limit or (#answer > 1 and bytes > most) then
        answer[1] = 1
        return answer
      end
      answer[#answer + 1] = shown(id, record)
    end
    if descending then max = '(' .. member else min = '(' .. member end
  end
  if #members <= limit then return answer end
end
`),

  /** now, collection, index, least and greatest member; -1: more has expired than is deleted at once, ask again */
  count: script(`
if dropExpired(ARGV[2], ARGV[1], 500) == 500 then return -1 end
return redis.call('ZLEXCOUNT', indexKey(ARGV[2], ARGV[3]), ARGV[4], ARGV[5])
`),

  /** now, limit; how many were deleted */
  expire: script(`
local removed, limit = 0, tonumber(ARGV[2])
for _, c in ipairs(redis.call('HKEYS', P .. 'shapes')) do
  if removed < limit then removed = removed + dropExpired(c, ARGV[1], limit - removed) end
end
return removed
`),

  /** now, collection, tenant, member to go on after or '', '1' to delete; found, and where to go on or '' */
  ofTenant: script(`
local now, c, found, last = tonumber(ARGV[1]), ARGV[2], 0, ''
local min = ARGV[4] == '' and '-' or '(' .. ARGV[4]
local members = redis.call('ZRANGEBYLEX', indexKey(c, '@all'), min, '+', 'LIMIT', 0, 500)
for _, member in ipairs(members) do
  last = member
  local id = string.sub(member, 16)
  local record = load(c, id)
  if record and record[1] == ARGV[3] then
    if isAlive(record, now) then found = found + 1 end
    if ARGV[5] == '1' then drop(c, id, record) end
  end
end
return { found, #members < 500 and '' or last }
`),

  /** collection, index, then id, revision and values of records that lack it */
  addToIndex: script(`
local c, index = ARGV[1], ARGV[2]
for at = 3, #ARGV, 3 do
  local id, values = ARGV[at], ARGV[at + 2]
  local record = load(c, id)
  if record and record[2] == tonumber(ARGV[at + 1]) then
    local has = false
    for i = 1, #record[8], 2 do has = has or record[8][i] == index end
    if not has then
      record[8][#record[8] + 1] = index
      record[8][#record[8] + 1] = values
      redis.call('ZADD', indexKey(c, index), 0, values .. tailOf(record[3], id))
      redis.call('SET', recordKey(c, id), cmsgpack.pack(record))
    end
  end
end
return 0
`),

  /**
   * oldest time of writing that is kept without a record, how many to pass over, collections that have blobs; how many
   * were deleted and kept
   */
  sweepBlobs: script(`
local removed, kept = 0, 0
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'blobs', '-inf', '(' .. ARGV[1], 'LIMIT', ARGV[2], 500)) do
  local isNamed, values = false, 's' .. name .. '\\0\\1'
  for at = 3, #ARGV do
    local key = indexKey(ARGV[at], '@blob')
    isNamed = isNamed or redis.call('ZLEXCOUNT', key, '[' .. values, '(' .. values .. 't') > 0
  end
  if isNamed then kept = kept + 1
  else
    redis.call('UNLINK', P .. 'b:' .. name)
    redis.call('ZREM', P .. 'blobs', name)
    removed = removed + 1
  end
end
return { removed, kept }
`),
} as const;
