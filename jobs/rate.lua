-- Takes one request from a token bucket, kept as the one number that tells all: when it is full again.
-- That is the generic cell rate algorithm (ITU-T I.371, annex A).
--
-- KEYS[1]  the bucket
-- ARGV     now (Unix milliseconds; '' for the server's own clock), tokens it holds, milliseconds it fills in
-- Returns  {tokens left, milliseconds until it is full, milliseconds until there is one; -1 if one was taken}

local now, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local each = window / limit
local full = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
local early = full + each - (now + window)
if early > 0 then return { 0, math.ceil(full - now), math.ceil(early) } end

full = full + each
redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.max(1, math.ceil(full - now)))
return { math.floor((window - (full - now)) / each + 0.001), math.ceil(full - now), -1 }
