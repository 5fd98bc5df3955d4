-- Every write to a job, and the reads that must be one snapshot. One call, one verb, atomically.
--
-- Arguments are the verb's own; of some, everybody's caps come first.
-- Returns  {'ok', …}, of a submit that wrote {'new', its time, jobs ahead of each}, of a claim that has not seen all
--          {'again', how far it came}, or {'refused', why, state or seconds}
--
-- P job:{id}        HASH    the record's small fields; each under 64 bytes, so that it stays a listpack
-- P spec:{id}       STRING  what the client asked for, JSON, written once
-- P outcome:{id}    STRING  {"result": …} or {"error": …}, JSON
-- P events:{id}     LIST    the log, oldest first, JSON; progress entries go when the job is final
-- P notes:{id}      LIST    what workers tell the owner, the last of it: [at, level, attempt, text], JSON
-- P attempts:{id}   LIST    attempts that ended otherwise than in success, JSON
-- P index:{tenant}:{queue}:{state}  ZSET  ids, all scored 0 and so in the order of their creation;
--                           tenant `*` holds every tenant's
-- P delayed         ZSET    queued ids that wait after a failed attempt, by the time they stand in line again
-- P ready:{queue}            ZSET  queued ids in the order they are taken: by class, then by creation
-- P ready:{queue}:{tenant}   ZSET  the same of one tenant
-- P heads:{queue}            ZSET  "{id} {tenant}" of every tenant's first, in the same order
-- P active:{queue}  ZSET    queued and running ids: what an autoscaler counts; nothing here reads it
-- P leases          ZSET    running ids by the time their lease ends
-- P deadlines       ZSET    ids by the time they have waited, or run, for too long
-- P retention       ZSET    final ids by the time their record is removed
-- P queues          SET     names of the queues ever submitted to
-- P pace:{queue}    HASH    pace key -> running averages, in ms: "{a step} {the rest of a job}"; '' is any job's
-- P spent:{tenant}:{day}  STRING  milliseconds that attempts took which ended on that day (UTC)
-- P caps            HASH    tenant -> {"queued": n, "in_progress": n}, JSON, where they are not everybody's
-- P retentions      HASH    tenant -> ms that its jobs are kept once they ended, where it is not everybody's
-- P results:{tenant}  HASH  digest -> the completed job that has it
-- P keys:{tenant}:{key}  STRING  what a client's key is reserved or was used for, JSON
-- P workers         HASH    worker -> {"seen": ms, "queues": […], "taken": […]}, JSON
-- P claims          HASH    worker -> "{nonce} {id} {attempt}" of its latest claim
-- P history:{tenant} STREAM the tenant's last events but progress, each as "{id} {number in the job's log}"
-- P hook:{id}       STRING  {"url": …, "events": …} that the request named to hear of the job, JSON
-- P endpoints:{tenant} ZSET the tenant's webhook endpoints; webhooks.lua writes it
-- P outbox          LIST    transitions that somebody wants to hear of, JSON; webhooks.lua takes them out
-- P feed            CHANNEL one message an event: "{tenant} {id} {type}"
-- {queue}           LIST    messages that wake workers, which Celery takes out at the other end
--
-- Put in front when this is loaded: library.lua, ALLOWED["verb source target"], the transition table of state.py,
-- and NUDGE(queue, id, tag), which makes a message, of dispatch.py.

-- The verb that runs, and everybody's caps, JSON.
local VERB, CAPS

-- Weight of the newest job in the running averages of a queue's pace.
local PACE_WEIGHT = 0.2
-- How many kinds of jobs a queue knows the pace of; images bring sizes of their own, without end.
local PACES = 1000
-- How much of a tenant's history is kept: about so many events, and none of it so many seconds after a job last ended.
local HISTORY_EVENTS, HISTORY_SECONDS = 10000, 7 * 24 * 3600

-- How many jobs a claim puts back in line on its way: the sweep does the rest. And at how many tenants it looks
-- in one call: where all of many have reached their cap, or let jobs expire, the server answers others in between.
local PROMOTED, LOOKED_AT = 10, 100

local DAY = 24 * 3600 * 1000

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

-- How many of a tenant's jobs may be in a state, by its own caps or else by those of everybody, or nil.
local function cap(tenant, state)
  return cjson.decode(redis.call('HGET', P .. 'caps', tenant) or CAPS)[state]
end

-- How many more of them.
local function room(tenant, state)
  local most = cap(tenant, state)
  if not most then return math.huge end
  local taken = 0
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
    taken = taken + redis.call('ZCARD', index(tenant, { queue = queue }, state))
  end
  return math.max(0, most - taken)
end

-- How many of the jobs that stand in line may start before this one, or false if it does not. What waits for its
-- tenant's cap may be passed by everybody else's.
local function ahead(job)
  local ready, own = key('ready', job.queue), key('ready', job.queue .. ':' .. job.tenant)
  local before = redis.call('ZRANK', own, job.id)
  if not before then return false end
  if before < room(job.tenant, 'in_progress') then return redis.call('ZRANK', ready, job.id) end
  return redis.call('ZCARD', ready) - redis.call('ZCARD', own) + before
end

-- The snapshot a caller gets: the record, its documents, and its place in the queue.
local function view(job)
  local flat, place, attempts = {}, false, false
  for name, value in pairs(job) do flat[#flat + 1], flat[#flat + 2] = name, value end
  if job.state == 'queued' then place = ahead(job) end
  if job.attempt ~= '0' then attempts = redis.call('LRANGE', key('attempts', job.id), 0, -1) end
  local spec, outcome = redis.call('GET', key('spec', job.id)), redis.call('GET', key('outcome', job.id))
  return { 'ok', flat, spec, outcome, place, attempts }
end

local function emit(job, type, data)
  local id = redis.call('HINCRBY', key('job', job.id), 'events', 1)
  local entry = { id = id, type = type, at = now, data = data }
  redis.call('RPUSH', key('events', job.id), cjson.encode(entry))
  if type ~= 'progress' then
    local history = key('history', job.tenant)
    redis.call('XADD', history, 'MAXLEN', '~', HISTORY_EVENTS, '*', 'event', job.id .. ' ' .. id)
    if job.finished then redis.call('EXPIRE', history, HISTORY_SECONDS) end
  end
  redis.call('PUBLISH', P .. 'feed', job.tenant .. ' ' .. job.id .. ' ' .. type)
  return entry
end

-- Leave a transition for the deliverers of webhooks, where anybody wants to hear of it.
local function post(job, entry)
  local hook = job.hook and redis.call('GET', key('hook', job.id)) or nil
  if not hook and redis.call('EXISTS', key('endpoints', job.tenant)) == 0 then return end
  local letter = { job = job.id, tenant = job.tenant, event = entry, hook = hook, request = job.request, trace = job.trace }
  redis.call('RPUSH', P .. 'outbox', cjson.encode(letter))
end

local function sift(list, wanted)
  local entries = redis.call('LRANGE', list, 0, -1)
  redis.call('DEL', list)
  for _, entry in ipairs(entries) do
    if wanted(cjson.decode(entry)) then redis.call('RPUSH', list, entry) end
  end
end

-- Once a job is completed, its result tells what went well; what did not is worth keeping.
local function is_kept(note, state) return state ~= 'completed' or note[2] ~= 'info' end

-- Progress has served its purpose once the job is final; the transitions stay.
local function compact(job, state)
  sift(key('events', job.id), function(event) return event.type ~= 'progress' end)
  sift(key('notes', job.id), function(note) return is_kept(note, state) end)
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

-- Wake a worker. The number of the transition tells this message of the job from its others.
local function nudge(job)
  redis.call('LPUSH', job.queue, NUDGE(job.queue, job.id, job.id .. '.' .. (job.events or 0)))
end

-- A job that comes back takes its old place.
local function enqueue(job)
  local place = int(CLASS[job.priority] + tonumber(job.created))
  redis.call('ZADD', key('ready', job.queue), place, job.id)
  reorder(job.queue, job.tenant, function(own) redis.call('ZADD', own, place, job.id) end)
end

-- Stand in line, and have a worker look.
local function line_up(job)
  enqueue(job)
  nudge(job)
end

local function dequeue(queue, tenant, id)
  redis.call('ZREM', key('ready', queue), id)
  reorder(queue, tenant, function(own) redis.call('ZREM', own, id) end)
end

local function leave(job)
  redis.call('ZREM', P .. 'deadlines', job.id)
  if job.state ~= 'queued' then
    redis.call('ZREM', P .. 'leases', job.id)
  elseif job.after then
    redis.call('ZREM', P .. 'delayed', job.id)
  else
    dequeue(job.queue, job.tenant, job.id)
  end
end

local function enter(job, state)
  if state == 'queued' and job.after then
    redis.call('ZADD', P .. 'delayed', job.after, job.id)
  elseif state == 'queued' then
    line_up(job)
  elseif state ~= 'in_progress' then
    local expires = now + tonumber(redis.call('HGET', P .. 'retentions', job.tenant) or job.retention)
    store(job, { finished = int(now), expires = int(expires) })
    erase(job, 'retention', 'stage', 'lease', 'ends', 'first', 'last', 'pace', 'max', 'after')
    redis.call('ZADD', P .. 'retention', expires, job.id)
    -- What its attempts died of is theirs; the job itself ended as its client wished.
    if state == 'cancelled' then redis.call('DEL', key('outcome', job.id)) end
    redis.call('ZREM', key('active', job.queue), job.id)
    compact(job, state)
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
  if job.state then leave(job) else redis.call('ZADD', key('active', job.queue), 0, job.id) end
  store(job, { state = target })
  enter(job, target)
  post(job, emit(job, target, data))
  if job.finished then erase(job, 'trace') end -- whoever follows it has it from the letter
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

local function spent_key(tenant) return key('spent', tenant .. ':' .. int(math.floor(now / DAY))) end

-- What an attempt took is the tenant's, unless it was lost with its worker.
local function charge(job, verb)
  if verb == 'rescue' then return end
  redis.call('INCRBY', spent_key(job.tenant), int(math.max(0, now - tonumber(job.started))))
  redis.call('PEXPIRE', spent_key(job.tenant), 2 * DAY)
end

-- How an attempt ends, whoever ends it. A cancel that was acknowledged wins over every outcome.
local function end_attempt(job, verb, target, data)
  data.attempt, data.worker = tonumber(job.attempt), job.worker
  charge(job, verb)
  store(job, { ended_by = verb .. ' ' .. job.worker .. ' ' .. job.attempt })
  if job.cancel then target = 'cancelled' end
  if target ~= 'completed' then
    redis.call('RPUSH', key('attempts', job.id), cjson.encode({
      attempt = data.attempt, worker = job.worker, started = tonumber(job.started), ended = now, error = data.error,
    }))
  end
  if target == 'queued' then
    erase(job, 'worker', 'lease', 'started', 'stage', 'step', 'preview', 'ends', 'first', 'last')
  end
  move(job, verb, target, data)
  return view(job)
end

-- After an error that may pass: another attempt, no sooner than after a delay, while there are any left.
local function fail_attempt(job, verb, error, delay)
  local failures = tonumber(job.failures) + 1
  store(job, { failures = int(failures) })
  if delay > 0 then store(job, { after = int(now + delay) }) end
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

-- Put back in line whose wait after a failed attempt is over.
local function promote(limit)
  local jobs = due_jobs('delayed', limit)
  for _, job in ipairs(jobs) do
    redis.call('ZREM', P .. 'delayed', job.id)
    erase(job, 'after')
    line_up(job)
  end
  return jobs
end

-- What a client's key stands for until its time is over, or nil: {ends, token} while it is reserved, and
-- {ends, token, fingerprint, job} once it was used.
local function key_entry(name)
  local text = redis.call('GET', name)
  local entry = text and cjson.decode(text)
  return entry and entry.ends > now and entry or nil
end

local function write_key(name, entry, milliseconds)
  entry.ends = now + milliseconds
  redis.call('SET', name, cjson.encode(entry), 'PX', milliseconds)
end

local function use_key(new, tenant, id)
  if not new.key then return end
  local entry = { token = new.token, fingerprint = new.fingerprint, job = id }
  write_key(key('keys', tenant .. ':' .. new.key), entry, new.key_ms)
end

-- The completed job of a digest, or nil.
local function finished(tenant, digest)
  local id = redis.call('HGET', key('results', tenant), digest)
  return id and fetch(id)
end

-- The job that a submit was already answered with, or may be answered with at no cost; or a refusal.
local function settled(new, tenant)
  local entry = new.key and key_entry(key('keys', tenant .. ':' .. new.key))
  if entry and entry.job then
    local job = fetch(entry.job)
    if job and entry.fingerprint ~= new.fingerprint then return { 'refused', 'key used', '' } end
    if job then return view(job) end -- else it was removed since
  elseif entry and entry.token ~= new.token then
    return { 'refused', 'key reserved', '' }
  end
  local done = new.reuse and finished(tenant, new.record.digest)
  if not done then return nil end
  use_key(new, tenant, done.id)
  return view(done)
end

-- The refusal of so many new jobs by a condition of the first, or nil.
local function turned_away(new, queue, tenant, count)
  local ready, last = key('ready', queue), int(CLASS[new.record.priority] + now)
  if room(tenant, 'queued') < count then return { 'refused', 'cap', '' } end
  if new.longest and redis.call('ZCARD', ready) + count > new.longest then return { 'refused', 'full', '' } end
  if new.most_ahead and redis.call('ZCOUNT', ready, '-inf', last) + count - 1 > new.most_ahead then
    return { 'refused', 'late', '' }
  end
  if new.gpu_ms and tonumber(redis.call('GET', spent_key(tenant)) or 0) >= new.gpu_ms then
    return { 'refused', 'spent', int(math.ceil((DAY - now % DAY) / 1000)) }
  end
end

local verbs = {}

local function write(id, queue, tenant, spec, new)
  local job, record = { id = id }, new.record
  record.queue, record.tenant, record.created, record.attempt, record.failures = queue, tenant, int(now), '0', '0'
  if new.expires_in then
    record.deadline = int(now + new.expires_in)
    redis.call('ZADD', P .. 'deadlines', record.deadline, id)
  end
  if new.hook then
    record.hook = '1'
    redis.call('SET', key('hook', id), new.hook)
  end
  store(job, record)
  redis.call('SET', key('spec', id), spec)
  move(job, 'submit', 'queued', { by = 'submit' })
  return job
end

-- Told of each job are its id, its spec and what else there is to know.
function verbs.submit(queue, tenant, ...)
  local told = { ... }
  local known = fetch(told[1])
  if known then return view(known) end
  local new, count = cjson.decode(told[3]), #told / 3
  local answer = settled(new, tenant) or turned_away(new, queue, tenant, count)
  if answer then return answer end
  redis.call('SADD', P .. 'queues', queue)
  use_key(new, tenant, told[1])
  local jobs, wrote = {}, { 'new', now }
  for i = 1, #told, 3 do
    jobs[#jobs + 1] = write(told[i], queue, tenant, told[i + 1], i == 1 and new or cjson.decode(told[i + 2]))
  end
  for _, job in ipairs(jobs) do wrote[#wrote + 1] = ahead(job) end
  return wrote
end

function verbs.reserve(tenant, name, token, milliseconds)
  local entry = key_entry(key('keys', tenant .. ':' .. name))
  if entry and not entry.job and entry.token ~= token then return { 'refused', 'key reserved', '' } end
  if not entry then write_key(key('keys', tenant .. ':' .. name), { token = token }, milliseconds) end
  return { 'ok' }
end

function verbs.unreserve(tenant, name, token)
  local entry = key_entry(key('keys', tenant .. ':' .. name))
  if entry and not entry.job and entry.token == token then redis.call('DEL', key('keys', tenant .. ':' .. name)) end
  return { 'ok' }
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
  move(job, 'claim', 'in_progress', { by = 'claim', attempt = attempt, worker = worker })
  redis.call('ZADD', P .. 'leases', job.lease, job.id)
  if job.timeout then
    store(job, { ends = int(now + job.timeout) })
    redis.call('ZADD', P .. 'deadlines', job.ends, job.id)
  end
  redis.call('HSET', P .. 'claims', worker, nonce .. ' ' .. job.id .. ' ' .. job.attempt)
  return view(job)
end

-- A queued job that nobody took in time expires; a running one that takes too long fails.
local function expire(job)
  local running = job.state == 'in_progress'
  local error = { code = 'expired', message = 'No worker took the job before its deadline.' }
  if running then
    local message = 'Attempt %d took longer than the %g s it was given.'
    error = { code = 'timeout', message = message:format(job.attempt, job.timeout / 1000) }
  end
  redis.call('SET', key('outcome', job.id), cjson.encode({ error = error }))
  if running then return end_attempt(job, 'expire', 'failed', { by = 'expire', error = error }) end
  move(job, 'expire', 'expired', { by = 'expire', error = error })
  return view(job)
end

function verbs.claim(queue, worker, lease, nonce, passed_over)
  passed_over = tonumber(passed_over)
  local again = claimed(worker, nonce)
  if again then return view(again) end
  promote(PROMOTED)
  for _ = 1, LOOKED_AT do
    local head = redis.call('ZRANGE', key('heads', queue), passed_over, passed_over)[1]
    if not head then return { 'refused', 'claim', '' } end
    local id, tenant = head:match('^(%S+) (%S+)$')
    local job = fetch(id)
    if not job then
      dequeue(queue, tenant, id) -- its record was deleted by hand
    elseif room(tenant, 'in_progress') == 0 then
      passed_over = passed_over + 1
    elseif job.deadline and job.attempt == '0' and tonumber(job.deadline) <= now then
      expire(job) -- a job that ran before has no deadline left to miss
    else
      return grant(job, worker, lease, nonce)
    end
  end
  return { 'again', passed_over }
end

function verbs.heartbeat(id, worker, attempt, lease, stage, step, steps, preview)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  local fields = { lease = int(now + lease) }
  local pictured = preview ~= '0' and preview ~= job.preview
  if stage ~= '' and (stage ~= job.stage or step ~= job.step or pictured) then
    fields.stage, fields.step, fields.steps = stage, step, steps
    if preview ~= '0' then fields.preview = preview end
    if step ~= job.step then
      fields.last = int(now) .. ' ' .. step
      fields.first = job.first or fields.last
    end
    emit(job, 'progress', {
      stage = stage, step = tonumber(step), steps = tonumber(steps), preview = pictured and tonumber(preview) or nil,
    })
  end
  store(job, fields)
  redis.call('ZADD', P .. 'leases', job.lease, id)
  return { 'ok', job.cancel and 1 or 0 }
end

local function average(job, name, step, rest)
  local paces = key('pace', job.queue)
  local known = redis.call('HGET', paces, name)
  if known then
    local old_step, old_rest = known:match('^(%S+) (%S+)$')
    step, rest = old_step + PACE_WEIGHT * (step - old_step), old_rest + PACE_WEIGHT * (rest - old_rest)
  elseif redis.call('HLEN', paces) > PACES then
    local some = redis.call('HRANDFIELD', paces)
    if some ~= '' then redis.call('HDEL', paces, some) end
  end
  redis.call('HSET', paces, name, string.format('%.3f %.3f', step, rest))
end

-- How long such jobs take, and a step of them, by the times of the first and the last step that was told of.
local function learn_pace(job)
  local took = now - job.started
  average(job, '', 0, took)
  if job.pace == '' or not job.first then return end
  local first, from = job.first:match('^(%S+) (%S+)$')
  local last, to = job.last:match('^(%S+) (%S+)$')
  if tonumber(to) <= tonumber(from) then return end
  local step = (last - first) / (to - from)
  average(job, job.pace, step, math.max(0, took - step * (to - from + 1)))
end

function verbs.succeed(id, worker, attempt, result)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  if not job.cancel then
    redis.call('SET', key('outcome', id), result)
    learn_pace(job)
    if job.digest ~= '' then redis.call('HSET', key('results', job.tenant), job.digest, id) end
  end
  return end_attempt(job, 'succeed', 'completed', { by = 'succeed' })
end

function verbs.retry(id, worker, attempt, code, message, delay)
  local job, answer = held(id, worker, attempt)
  if not job then return answer end
  return fail_attempt(job, 'retry', { code = code, message = message }, tonumber(delay))
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
    }, 0)
  end
  return answers
end

function verbs.expire(limit)
  local answers = { 'ok' }
  for _, job in ipairs(due_jobs('deadlines', limit)) do answers[#answers + 1] = expire(job) end
  return answers
end

function verbs.promote(limit)
  local answers = { 'ok' }
  for _, job in ipairs(promote(limit)) do answers[#answers + 1] = view(job) end
  return answers
end

function verbs.claimable(queue)
  local jobs = 0
  for _, head in ipairs(redis.call('ZRANGE', key('heads', queue), 0, -1)) do
    local tenant = head:match(' (%S+)$')
    local waiting = redis.call('ZCARD', key('ready', queue .. ':' .. tenant))
    jobs = jobs + math.min(waiting, room(tenant, 'in_progress'))
  end
  return { 'ok', jobs }
end

-- The jobs that an outlook has in line: the first ones, and where caps hold jobs back some of each first tenant.
local function in_front(queue, first, tenants, each)
  local ids, known = redis.call('ZRANGE', key('ready', queue), 0, first - 1), {}
  if not cjson.decode(CAPS).in_progress and redis.call('EXISTS', P .. 'caps') == 0 then return ids end
  for _, id in ipairs(ids) do known[id] = true end
  for _, head in ipairs(redis.call('ZRANGE', key('heads', queue), 0, tenants - 1)) do
    local own = key('ready', queue .. ':' .. head:match(' (%S+)$'))
    for _, id in ipairs(redis.call('ZRANGE', own, 0, each - 1)) do
      if not known[id] then ids[#ids + 1] = id end
    end
  end
  return ids
end

-- What an estimate is made from; outlook.py says what it is, and answers.py reads it.
function verbs.outlook(queue, first, tenants, each, samples, runs)
  local ready, told = key('ready', queue), { running = {}, line = {}, delayed = {}, samples = {}, waiting = {}, caps = {} }
  local function tell(list, id, ...)
    local values = redis.call('HMGET', key('job', id), ...)
    values[#values + 1] = id
    local tenant = values[1]
    if not tenant then return nil end -- its record was deleted by hand
    list[#list + 1] = values
    told.caps[tenant] = told.caps[tenant] or cap(tenant, 'in_progress')
    return tenant
  end
  for _, id in ipairs(redis.call('ZRANGE', index('*', { queue = queue }, 'in_progress'), 0, runs - 1)) do
    tell(told.running, id, 'tenant', 'worker', 'pace', 'steps', 'step', 'started')
  end
  for _, id in ipairs(in_front(queue, first, tenants, each)) do
    local tenant = tell(told.line, id, 'tenant', 'pace', 'steps', 'priority', 'created')
    if tenant then
      told.waiting[tenant] = told.waiting[tenant] or redis.call('ZCARD', key('ready', queue .. ':' .. tenant))
    end
  end
  for _, id in ipairs(redis.call('ZRANGE', P .. 'delayed', 0, first - 1)) do
    if redis.call('HGET', key('job', id), 'queue') == queue then
      tell(told.delayed, id, 'tenant', 'pace', 'steps', 'priority', 'created', 'after')
    end
  end
  told.length = redis.call('ZCARD', ready)
  local behind = told.length - first
  for sample = 1, math.min(samples, behind) do
    local rank = math.floor(first + (sample - 0.5) * behind / math.min(samples, behind))
    local id = redis.call('ZRANGE', ready, rank, rank)[1]
    local size = redis.call('HMGET', key('job', id), 'pace', 'steps')
    if size[2] then told.samples[#told.samples + 1] = size end
  end
  told.paces = redis.call('HGETALL', key('pace', queue))
  return { 'ok', cjson.encode(told) }
end

function verbs.outdated(limit) return { 'ok', due('retention', limit) } end

function verbs.remove(id)
  local job = fetch(id)
  if not job then return refuse_missing() end
  if not job.finished then return { 'refused', 'state', job.state } end
  for _, scope in ipairs({ job.tenant, '*' }) do redis.call('ZREM', index(scope, job, job.state), id) end
  redis.call('ZREM', P .. 'retention', id)
  local results = key('results', job.tenant)
  if redis.call('HGET', results, job.digest) == id then redis.call('HDEL', results, job.digest) end
  redis.call('DEL', key('job', id), key('spec', id), key('outcome', id), key('events', id), key('attempts', id),
    key('notes', id), key('hook', id))
  return { 'ok' }
end

function verbs.spent(tenant) return { 'ok', redis.call('GET', spent_key(tenant)) or '0' } end

function verbs.annotate(id, sent, most, notes)
  local state = redis.call('HGET', key('job', id), 'state')
  if not state then return { 'ok' } end
  for _, note in ipairs(cjson.decode(notes)) do
    note[1] = note[1] + now - sent
    if is_kept(note, state) then redis.call('RPUSH', key('notes', id), cjson.encode(note)) end
  end
  redis.call('LTRIM', key('notes', id), -most, -1)
  return { 'ok' }
end

function verbs.announce(worker, queues, taken)
  local told = '{"seen":' .. int(now) .. ',"queues":' .. queues .. ',"taken":' .. taken .. '}'
  redis.call('HSET', P .. 'workers', worker, told)
  return { 'ok' }
end

local function forget(worker)
  redis.call('HDEL', P .. 'workers', worker)
  redis.call('HDEL', P .. 'claims', worker)
end

function verbs.retire(worker)
  forget(worker)
  return { 'ok' }
end

function verbs.bury(silence)
  local said = redis.call('HGETALL', P .. 'workers')
  for i = 1, #said, 2 do
    if cjson.decode(said[i + 1]).seen < now - silence then forget(said[i]) end
  end
  return { 'ok' }
end

function verbs.set_caps(tenant, caps)
  if caps == '' then redis.call('HDEL', P .. 'caps', tenant) else redis.call('HSET', P .. 'caps', tenant, caps) end
  return { 'ok' }
end

function verbs.set_retention(tenant, milliseconds)
  redis.call('HDEL', P .. 'retentions', tenant)
  if milliseconds ~= '' then redis.call('HSET', P .. 'retentions', tenant, milliseconds) end
  return { 'ok' }
end

function verbs.finished(tenant, digest)
  local job = finished(tenant, digest)
  if not job then return refuse_missing() end
  return view(job)
end

function verbs.get(id)
  local job = fetch(id)
  if not job then return refuse_missing() end
  return view(job)
end

-- Those that are there.
function verbs.get_all(...)
  local answers = { 'ok' }
  for _, id in ipairs({ ... }) do
    local job = fetch(id)
    if job then answers[#answers + 1] = view(job) end
  end
  return answers
end

publish(function(verb, caps, ...)
  VERB, CAPS = verb, caps
  return verbs[verb](...)
end)
