-- What stands in front of a file of verbs, made a library of functions by library.py.
--
-- A function is called with KEYS[1], what the names of all keys begin with, and with Unix milliseconds, or '' for the
-- server's own clock, a verb and its arguments. While it runs, P is the former and `now` the time.

local P, now

local function server_now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Let verbs be called, in three ways: a server whose memory is full refuses to begin anything, while what was begun
-- may go on and end; and to look around is possible on any.
local function publish(run)
  local function callback(keys, args)
    P, now = keys[1], tonumber(args[1]) or server_now()
    return run(unpack(args, 2))
  end
  redis.register_function({ function_name = LIBRARY .. '_begin', callback = callback })
  redis.register_function({ function_name = LIBRARY .. '_go_on', callback = callback, flags = { 'allow-oom' } })
  redis.register_function({ function_name = LIBRARY .. '_look', callback = callback, flags = { 'no-writes' } })
end
