-- Every write to a job, and the reads that must be one snapshot. One call, one verb, atomically.
--
-- KEYS[1]  P, the prefix of every key below
-- ARGV     verb, now (Unix milliseconds; '' for the server's own clock), then the verb's arguments
-- Returns  {'ok', …} or {'refused', why, state}
--
-- P job:{id}        HASH    the record's small fields; each under 64 bytes, so that it stays a listpack
-- P spec:{id}       STRING  what the client asked for, JSON, written once
-- P outcome:{id}    STRING  {"result": …} or {"error": …}, JSON
-- P events:{id}     LIST    the log, oldest first, JSON; progress entries go when the job is final
-- P index:{tenant}:{queue}:{state}  ZSET  ids, all scored 0 and so in the order of their creation;
--                           tenant `*` holds every tenant's
-- P ready:{queue}            ZSET  queued ids in the order they are taken: by class, then by creation
-- P ready:{queue}:{tenant}   ZSET  the same of one tenant
-- P heads:{queue}            ZSET  "{id} {tenant}" of every tenant's first, in the same order
-- P leases          ZSET    running ids by the time their lease ends
-- P deadlines       ZSET    queued ids by the time they give up waiting
-- P retention       ZSET    final ids by the time their record is removed
-- P queues          SET     names of the queues ever submitted to
-- P pace            HASH    queue -> running average of milliseconds from claim to success
-- P workers         HASH    worker -> {"seen": ms, "queues": […]}, JSON
-- P claims          HASH    worker -> "{nonce} {id} {attempt}" of its latest claim
-- P history:{tenant} STREAM the tenant's last events but progress, each as "{id} {number in the job's log}"
-- P feed            CHANNEL one message an event: "{tenant} {id} {type}"
--
-- ALLOWED["verb source target"] is the transition table of state.py, put in front when the script is loaded.

local P, VERB = KEYS[1], ARGV[1]
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Weight of the newest job in the running average of a queue's pace.
local PACE_WEIGHT = 0.2
-- How much of a tenant's history is kept: about so many events, and none of it after so many idle seconds.
local HISTORY_EVENTS, HISTORY_SECONDS = 10000, 7 * 24 * 3600

-- What the classes of a queue add to the time of creation, in milliseconds: more than any such time.
local CLASS = { high = 0, normal = 1e13, low = 2e13 }

local function int(n) return string.format('%d', n) end
local function key(kind, name) return P .. kind .. ':' .. name end
local function index(scope, job, state) return P .. 'index:' .. scope .. ':' .. job.queue .. ':' .. state end

local function fetch(id)
  local flat = redis.call('HGETALL', key('job', id))
  if #flat == 0 then return nil end
  local job = { id = id }
  for i = 1, #flat, 2 do job[flat[i]] = flat[i + 1] end
  return job
end

local function store(job, fields)
  local flat = {}
  for name, value in pairs(fields) do
    job[name] = value
    flat[#flat + 1], flat[#flat + 2] = name, value
  end
  redis.call('HSET', key('job', job.id), unpack(flat))
end

local function erase(job, ...)
  for _, name in ipairs({ ... }) do job[name] = nil end
  redis.call('HDEL', key('job', job.id), ...)
end

-- The snapshot a caller gets: the record, its documents, and its place in the queue.
local function view(job)
  local flat, ahead = {}, false
  for name, value in pairs(job) do flat[#flat + 1], flat[#flat + 2] = name, value end
  if job.state == 'queued' then ahead = redis.call('ZRANK', key('ready', job.queue), job.id) end
  return { 'ok', flat, redis.call('GET', key('spec', job.id)), redis.call('GET', key('outcome', job.id)), ahead }
end

local function emit(job, type, data)
  local id = redis.call('HINCRBY', key('job', job.id), 'events', 1)
  local entry = { id = id, type = type, at = now, data = data }
  redis.call('RPUSH', key('events', job.id), cjson.encode(entry))
  if type ~= 'progress' then
    local history = key('history', job.tenant)
    redis.call('XADD', history, 'MAXLEN', '~', HISTORY_EVENTS, '*', 'event', job.id .. ' ' .. id)
    redis.call('EXPIRE', history, HISTORY_SECONDS)
  end
  redis.call('PUBLISH', P .. 'feed', job.tenant .. ' ' .. job.id .. ' ' .. type)
end

-- Progress has served its purpose once the job is final; the transitions stay.
local function compact_log(job)
  local log = key('events', job.id)
  local entries = redis.call('LRANGE', log, 0, -1)
  redis.call('DEL', log)
  for _, entry in ipairs(entries) do
    if cjson.decode(entry).type ~= 'progress' then redis.call('RPUSH', log, entry) end
  end
end

-- Change a tenant's part of a queue, and keep its first job among the heads.
local function reorder(queue, tenant, change)
  local heads, own = key('heads', queue), key('ready', queue .. ':' .. tenant)
  local before = redis.call('ZRANGE', own, 0, 0)[1]
  change(own)
  local after = redis.call('ZRANGE', own, 0, 0, 'WITHSCORES')
  if before == after[1] then return end
  if before then redis.call('ZREM', heads, before .. ' ' .. tenant) end
  if after[1] then redis.call('ZADD', heads, after[2], after[1] .. ' ' .. tenant) end
end

-- A job that comes back takes its old place.
local function enqueue(job)
  local place = int(CLASS[job.priority] + tonumber(job.created))
  redis.call('ZADD', key('ready', job.queue), place, job.id)
  reorder(job.queue, job.tenant, function(own) redis.call('ZADD', own, place, job.id) end)
end

local function dequeue(queue, tenant, id)
  redis.call('ZREM', key('ready', queue), id)
  reorder(queue, tenant, function(own) redis.call('ZREM', own, id) end)
end

local function leave(job)
  if job.state == 'queued' then
    dequeue(job.queue, job.tenant, job.id)
    redis.call('ZREM', P .. 'deadlines', job.id)
  else
    redis.call('ZREM', P .. 'leases', job.id)
  end
end

local function enter(job, state)
  if state == 'queued' then
    enqueue(job)
  elseif state ~= 'in_progress' then
    local expires = now + tonumber(job.retention)
    store(job, { finished = int(now), expires = int(expires) })
    erase(job, 'retention', 'stage', 'lease')
    redis.call('ZADD', P .. 'retention', expires, job.id)
    compact_log(job)
  end
end

-- The only place where a state changes.
local function move(job, verb, target, data)
  local source = job.state or 'new'
  assert(ALLOWED[verb .. ' ' .. source .. ' ' .. target], verb .. ': no way from ' .. source .. ' to ' .. target)
  for _, scope in ipairs({ job.tenant, '*' }) do
    if job.state then redis.call('ZREM', index(scope, job, source), job.id) end
    redis.call('ZADD', index(scope, job, target), 0, job.id)
  end
  if job.state then leave(job) end
  store(job, { state = target })
  enter(job, target)
  emit(job, target, data)
end

local function refuse_missing() return { 'refused', 'missing', '' } end

-- The job if this lease still holds it; else the answer for the caller. A verb that already ended
-- this very attempt (its reply was lost and the client asked again) is answered with the job as it is.
local function held(id, worker, attempt)
  local job = fetch(id)
  if not job then return nil, refuse_missing() end
  if job.attempt ~= attempt then return nil, { 'refused', 'lease', job.state } end
  if job.state == 'in_progress' and job.worker == worker then return job end
  if job.ended_by == VERB .. ' ' .. worker .. ' ' .. attempt then return nil, view(job) end
  return nil, { 'refused', 'lease', job.state }
end

-- How an attempt ends, whoever ends it. A cancel that was acknowledged wins over every outcome.
local function end_attempt(job, verb, target, data)
  data.attempt, data.worker = tonumber(job.attempt), job.worker
  store(job, { ended_by = verb .. ' ' .. job.worker .. ' ' .. job.attempt })
  if job.cancel then target = 'cancelled' end
  if target == 'queued' then erase(job, 'worker', 'lease', 'started', 'stage', 'step') end
  move(job, verb, target, data)
  return view(job)
end

-- After an error that may pass: another attempt while there are any left.
local function fail_attempt(job, verb, error)
  local failures = tonumber(job.failures) + 1
  store(job, { failures = int(failures) })
  redis.call('SET', key('outcome', job.id), cjson.encode({ error = error }))
  local target = failures < tonumber(job.max) and 'queued' or 'failed'
  return end_attempt(job, verb, target, { by = verb, error = error })
end

local function due(set, limit)
  return redis.call('ZRANGE', P .. set, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
end

-- The jobs that are due. An id without a record (deleted by hand, say) must not block those behind it.
local function due_jobs(set, limit)
  local jobs = {}
  for _, id in ipairs(due(set, limit)) do
    local job = fetch(id)
    if job then jobs[#jobs + 1] = job else redis.call('ZREM', P .. set, id) end
  end
  return jobs
end

local verbs = {}

function verbs.submit(id, queue, tenant, spec, steps, priority, expires_in, max_attempts, retention, request, trace)
  local known = fetch(id)
  if known then return view(known) end
  local job = { id = id, queue = queue, tenant = tenant }
  store(job, {
    queue = queue, tenant = tenant, priority = priority, created = int(now), attempt = '0', failures = '0',
    steps = steps, max = max_attempts, retention = retention, request = request, trace = trace,
  })
  if expires_in ~= '' then
    store(job, { deadline = int(now + tonumber(expires_in)) })
    redis.call('ZADD', P .. 'deadlines', job.deadline, id)
  end
  redis.call('SET', key('spec', id), spec)
  redis.call('SADD', P .. 'queues', queue)
  move(job, 'submit', 'queued', { by = 'submit' })
  return view(job)
end

-- What the worker claimed last, if this is the same claim again because its answer got lost.
local function claimed(worker, nonce)
  local last = redis.call('HGET', P .. 'claims', worker) or ''
  local known, id, attempt = last:match('^(%S+) (%S+) (%S+)$')
  if known ~= nonce then return nil end
  local job = fetch(id)
  return job and job.state == 'in_progress' and job.attempt == attempt and job or nil
end

local function grant(job, worker, lease, nonce)
  local attempt = tonumber(job.attempt) + 1
  store(job, { worker = worker, attempt = int(attempt), started = int(now), lease = int(now + lease), step = '0' })
  redis.call('ZADD', P .. 'leases', job.lease, job.id)
  redis.call('HSET', P .. 'claims', worker, nonce .. ' ' .. job.id .. ' ' .. job.attempt)
  move(job, 'claim', 'in_progress', { by = 'claim', attempt = attempt, worker = worker })
  return view(job)
end

local function expire(job)
  local error = { code = 'expired', message = 'No worker took the job before its deadline.' }
  redis.call('SET', key('outcome', job.id), cjson.encode({ error = error }))
  move(job, 'expire', 'expired', { by = 'expire', error = error })
  return view(job)
end

function verbs.claim(queue, worker, lease, nonce)
  local again = claimed(worker, nonce)
  if again then return view(again) end
  while true do
    local head = redis.call('ZRANGE', key('heads', queue), 0, 0)[1]
    if not head then return { 'refused', 'claim', '' } end
    local id, tenant = head:match('^(%S+) (%S+)$')
    local job = fetch(id)
    if not job then
      dequeue(queue, tenant, id) -- its record was deleted by hand
    elseif job.deadline and job.attempt == '0' and tonumber(job.deadline) <= now then
      expire(job) -- a job that ran before has no deadline left to miss
    else
      return grant(job, worker, lease, nonce)
    end
  end
end

function verbs.heartbeat(id, worker, attempt, lease, stage, step, steps)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  local fields = { lease = int(now + lease) }
  if stage ~= '' and (stage ~= job.stage or step ~= job.step) then
    fields.stage, fields.step, fields.steps = stage, step, steps
    emit(job, 'progress', { stage = stage, step = tonumber(step), steps = tonumber(steps) })
  end
  store(job, fields)
  redis.call('ZADD', P .. 'leases', job.lease, id)
  return { 'ok', job.cancel and 1 or 0 }
end

function verbs.succeed(id, worker, attempt, result)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  if not job.cancel then
    redis.call('SET', key('outcome', id), result)
    local took, pace = now - tonumber(job.started), redis.call('HGET', P .. 'pace', job.queue)
    if pace then took = pace + PACE_WEIGHT * (took - pace) end
    redis.call('HSET', P .. 'pace', job.queue, int(took))
  end
  return end_attempt(job, 'succeed', 'completed', { by = 'succeed' })
end

function verbs.retry(id, worker, attempt, code, message)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  return fail_attempt(job, 'retry', { code = code, message = message })
end

function verbs.release(id, worker, attempt)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  return end_attempt(job, 'release', 'queued', { by = 'release' })
end

function verbs.fail(id, worker, attempt, code, message)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  local error = { code = code, message = message }
  redis.call('SET', key('outcome', id), cjson.encode({ error = error }))
  return end_attempt(job, 'fail', 'failed', { by = 'fail', error = error })
end

function verbs.cancel(id)
  local job = fetch(id)
  if not job then return refuse_missing() end
  if job.cancel then return view(job) end
  if job.state == 'queued' then
    store(job, { cancel = int(now) })
    move(job, 'cancel', 'cancelled', { by = 'cancel' })
  elseif job.state == 'in_progress' then
    store(job, { cancel = int(now) })
    emit(job, 'cancel_requested', { by = 'cancel' })
  else
    return { 'refused', 'state', job.state }
  end
  return view(job)
end

function verbs.rescue(limit)
  local answers = { 'ok' }
  for _, job in ipairs(due_jobs('leases', limit)) do
    answers[#answers + 1] = fail_attempt(job, 'rescue', {
      code = 'worker_lost',
      message = 'Worker ' .. job.worker .. ' stopped answering during attempt ' .. job.attempt .. '.',
    })
  end
  return answers
end

function verbs.expire(limit)
  local answers = { 'ok' }
  for _, job in ipairs(due_jobs('deadlines', limit)) do answers[#answers + 1] = expire(job) end
  return answers
end

function verbs.claimable(queue) return { 'ok', redis.call('ZCARD', key('ready', queue)) } end

function verbs.outdated(limit) return { 'ok', due('retention', limit) } end

function verbs.remove(id)
  local job = fetch(id)
  if not job then return refuse_missing() end
  if not job.finished then return { 'refused', 'state', job.state } end
  for _, scope in ipairs({ job.tenant, '*' }) do redis.call('ZREM', index(scope, job, job.state), id) end
  redis.call('ZREM', P .. 'retention', id)
  redis.call('DEL', key('job', id), key('spec', id), key('outcome', id), key('events', id))
  return { 'ok' }
end

function verbs.announce(worker, queues)
  redis.call('HSET', P .. 'workers', worker, '{"seen":' .. int(now) .. ',"queues":' .. queues .. '}')
  return { 'ok' }
end

function verbs.get(id)
  local job = fetch(id)
  if not job then return refuse_missing() end
  return view(job)
end

return verbs[VERB](unpack(ARGV, 3))
