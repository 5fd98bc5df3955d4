-- Every write to a webhook endpoint or delivery. One call, one verb, atomically.
--
-- Returns  {'ok', …} or {'refused', why}
--
-- P outbox               LIST   transitions that somebody wants to hear of, JSON, written by verbs.lua
-- P hook:{job}           STRING {"url", "events"} that the job's request named, written by verbs.lua
-- P endpoint:{id}        HASH   an endpoint with its secrets
-- P endpoints:{tenant}   ZSET   ids of the tenant's registered endpoints by creation
-- P delivery:{id}        HASH   a delivery
-- P tried:{id}           LIST   its last attempts, JSON
-- P deliveries:{endpoint} ZSET  ids, all scored 0 and so in the order of their creation
-- P waiting:{receiver}   ZSET   deliveries by the time of their next attempt
-- P flying:{receiver}    ZSET   deliveries being attempted by the end of the attempt's lease
-- P receivers:{lane}:{tenant} ZSET receivers by the time when there is something to do for them
-- P tenants:{lane}       ZSET   tenants by the time when there is something to do for one of their receivers
-- P flights:{lane}:{tenant} ZSET deliveries being attempted for a tenant by the end of the attempt's lease
-- P suspects             SET    receivers whose last attempt failed or took long: they are in the slow lane
-- P proven               SET    receivers that took their last message at once, until nothing waits for them
-- P verdicts             HASH   verdict -> how many attempts came to it, ever
-- P forgetting           ZSET   finished deliveries by the time their record is removed

-- Put in front when this is loaded: library.lua.

-- How many attempts a proven receiver gets at a time, where each other gets one: so that those which are dead
-- from the start hold few. And how many all receivers of a tenant get in a lane.
local PROVEN_AT_ONCE = 8
local TENANT_AT_ONCE = 48
local KEPT_ATTEMPTS = 20

local function int(n) return string.format('%d', n) end
local function key(kind, name) return P .. kind .. ':' .. name end

local function fetch(kind, id)
  local flat = redis.call('HGETALL', key(kind, id))
  if #flat == 0 then return nil end
  local record = { id = id }
  for i = 1, #flat, 2 do record[flat[i]] = flat[i + 1] end
  return record
end

local function flat(record)
  local fields = {}
  for name, value in pairs(record) do fields[#fields + 1], fields[#fields + 2] = name, value end
  return fields
end

local function first(set)
  return tonumber(redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2])
end

local function is(receiver, set) return redis.call('SISMEMBER', P .. set, receiver) == 1 end

local function tenant_of(receiver) return string.match(receiver, '^[^|]*') end

-- Put the tenant where its receivers are due next; one that has all it may have waits until one comes back.
local function retarget(lane, tenant)
  local place = lane .. ':' .. tenant
  local due, flights = first(key('receivers', place)), key('flights', place)
  if due and redis.call('ZCARD', flights) >= TENANT_AT_ONCE then due = math.max(due, first(flights)) end
  if due then
    redis.call('ZADD', key('tenants', lane), due, tenant)
  else
    redis.call('ZREM', key('tenants', lane), tenant)
  end
end

-- How many more attempts a receiver may get.
local function room(receiver)
  local most = is(receiver, 'proven') and PROVEN_AT_ONCE or 1
  return most - redis.call('ZCARD', key('flying', receiver))
end

-- Put the receiver where and when it is due next.
local function reschedule(receiver)
  local tenant, lane = tenant_of(receiver), is(receiver, 'suspects') and 'slow' or 'fast'
  local lapses = first(key('flying', receiver))
  local due = room(receiver) > 0 and first(key('waiting', receiver)) or nil
  for _, one in ipairs({ 'fast', 'slow' }) do
    local receivers = key('receivers', one .. ':' .. tenant)
    if one == lane and (lapses or due) then
      redis.call('ZADD', receivers, math.min(lapses or due, due or lapses), receiver)
    else
      redis.call('ZREM', receivers, receiver)
    end
    retarget(one, tenant)
  end
  if not (lapses or due) then
    redis.call('SREM', P .. 'suspects', receiver)
    redis.call('SREM', P .. 'proven', receiver)
  end
end

local function wait(delivery, at)
  redis.call('HSET', key('delivery', delivery.id), 'state', 'pending', 'next', int(at))
  redis.call('ZADD', key('waiting', delivery.receiver), at, delivery.id)
  redis.call('ZREM', P .. 'forgetting', delivery.id)
  reschedule(delivery.receiver)
end

local function finish(delivery, state, retention)
  redis.call('HSET', key('delivery', delivery.id), 'state', state, 'finished', int(now))
  redis.call('HDEL', key('delivery', delivery.id), 'next')
  redis.call('ZADD', P .. 'forgetting', now + retention, delivery.id)
end

local function forget(delivery)
  redis.call('DEL', key('delivery', delivery.id), key('tried', delivery.id))
  redis.call('ZREM', key('deliveries', delivery.endpoint), delivery.id)
  redis.call('ZREM', P .. 'forgetting', delivery.id)
end

local function begin(text)
  local delivery = cjson.decode(text)
  delivery.attempts, delivery.tries, delivery.created = '0', '0', int(now)
  redis.call('HSET', key('delivery', delivery.id), unpack(flat(delivery)))
  redis.call('ZADD', key('deliveries', delivery.endpoint), 0, delivery.id)
  wait(delivery, now)
end

local function disable(endpoint, why)
  redis.call('HSET', key('endpoint', endpoint.id), 'disabled', int(now), 'why', why)
end

local function owned(id, tenant)
  local endpoint = fetch('endpoint', id)
  return endpoint and endpoint.tenant == tenant and endpoint or nil
end

local function refuse(why) return { 'refused', why } end

local verbs = {}

-- Endpoints

function verbs.register(id, tenant, url, events, secret, description, most)
  local known = key('endpoints', tenant)
  if redis.call('ZCARD', known) >= tonumber(most) then return refuse('many') end
  redis.call('HSET', key('endpoint', id), 'tenant', tenant, 'url', url, 'events', events, 'secret', secret,
    'description', description, 'created', int(now))
  redis.call('ZADD', known, now, id)
  return { 'ok', flat(fetch('endpoint', id)) }
end

-- The one that signs for URLs which requests name; it comes into being when it is first needed.
function verbs.default(id, tenant, secret)
  if redis.call('HSETNX', key('endpoint', id), 'secret', secret) == 1 then
    redis.call('HSET', key('endpoint', id), 'tenant', tenant, 'url', '', 'events', '[]', 'created', int(now))
  end
  return { 'ok', flat(fetch('endpoint', id)) }
end

function verbs.rotate(id, tenant, secret, overlap)
  local endpoint = owned(id, tenant)
  if not endpoint then return refuse('missing') end
  redis.call('HSET', key('endpoint', id), 'secret', secret, 'old', endpoint.secret, 'old_until',
    int(now + overlap), 'rotated', int(now))
  return { 'ok', flat(fetch('endpoint', id)) }
end

function verbs.enable(id, tenant)
  if not owned(id, tenant) then return refuse('missing') end
  redis.call('HDEL', key('endpoint', id), 'disabled', 'why', 'failing')
  return { 'ok', flat(fetch('endpoint', id)) }
end

function verbs.unregister(id, tenant)
  if not owned(id, tenant) then return refuse('missing') end
  redis.call('DEL', key('endpoint', id))
  redis.call('ZREM', key('endpoints', tenant), id)
  return { 'ok' }
end

-- Deliveries

-- Replace an entry of the outbox by the deliveries it means; only one of several deliverers does.
function verbs.accept(entry, ...)
  if redis.call('LREM', P .. 'outbox', 1, entry) == 0 then return refuse('taken') end
  for _, delivery in ipairs({ ... }) do begin(delivery) end
  return { 'ok' }
end

function verbs.begin(delivery)
  begin(delivery)
  return { 'ok', flat(fetch('delivery', cjson.decode(delivery).id)) }
end

function verbs.replay(id, tenant)
  local delivery = fetch('delivery', id)
  if not delivery or delivery.tenant ~= tenant then return refuse('missing') end
  local endpoint = fetch('endpoint', delivery.endpoint)
  if not endpoint then return refuse('missing') end
  if endpoint.disabled then return refuse('disabled') end
  redis.call('HSET', key('delivery', id), 'tries', '0')
  redis.call('HDEL', key('delivery', id), 'finished')
  if not redis.call('ZSCORE', key('flying', delivery.receiver), id) then wait(delivery, now) end
  return { 'ok', flat(fetch('delivery', id)) }
end

-- One waiting delivery for a deliverer, or nil where it is not to be attempted any more.
local function take(id, retention)
  local delivery = fetch('delivery', id)
  if not delivery then return nil end
  local endpoint = fetch('endpoint', delivery.endpoint)
  if not endpoint then return forget(delivery) end
  if endpoint.disabled then return finish(delivery, 'failed', retention) end
  delivery.attempts = int(redis.call('HINCRBY', key('delivery', id), 'attempts', 1))
  delivery.tries = int(redis.call('HINCRBY', key('delivery', id), 'tries', 1))
  return { flat(delivery), flat(endpoint) }
end

-- Up to so many due deliveries of a receiver, as they are handed out.
local function depart(receiver, lane, most, lease, retention)
  local waiting, flying = key('waiting', receiver), key('flying', receiver)
  local flights = key('flights', lane .. ':' .. tenant_of(receiver))
  for _, id in ipairs(redis.call('ZRANGE', flying, '-inf', now, 'BYSCORE')) do
    redis.call('ZREM', flying, id) -- its deliverer died
    redis.call('ZADD', waiting, now, id)
  end
  local free = math.min(room(receiver), most, TENANT_AT_ONCE - redis.call('ZCARD', flights))
  local due = free > 0 and redis.call('ZRANGE', waiting, '-inf', now, 'BYSCORE', 'LIMIT', 0, free) or {}
  local taken = {}
  for _, id in ipairs(due) do
    redis.call('ZREM', waiting, id)
    local found = take(id, retention)
    if found then
      redis.call('ZADD', flying, now + lease, id)
      redis.call('ZADD', flights, now + lease, id)
      taken[#taken + 1] = found
    end
  end
  reschedule(receiver)
  return taken
end

function verbs.lease(lane, limit, lease, retention)
  local answers = { 'ok' }
  for _, tenant in ipairs(redis.call('ZRANGE', key('tenants', lane), '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)) do
    local place = lane .. ':' .. tenant
    redis.call('ZREMRANGEBYSCORE', key('flights', place), '-inf', now)
    for _, receiver in ipairs(redis.call('ZRANGE', key('receivers', place), '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)) do
      local most = limit - (#answers - 1)
      for _, taken in ipairs(depart(receiver, lane, most, lease, retention)) do answers[#answers + 1] = taken end
    end
    retarget(lane, tenant)
  end
  return answers
end

-- What an attempt means for whom it was sent to. Returns why the endpoint was disabled, if it was.
local function learn(delivery, verdict, slow, patience)
  local endpoint = fetch('endpoint', delivery.endpoint)
  local registered = endpoint and endpoint.url ~= ''
  local suspect = slow == '1' or verdict ~= 'delivered'
  redis.call(suspect and 'SADD' or 'SREM', P .. 'suspects', delivery.receiver)
  redis.call(suspect and 'SREM' or 'SADD', P .. 'proven', delivery.receiver)
  if verdict == 'delivered' then
    if registered then redis.call('HDEL', key('endpoint', endpoint.id), 'failing') end
    return ''
  end
  if not registered then
    if verdict == 'gone' then redis.call('DEL', key('hook', delivery.job)) end
    return ''
  end
  redis.call('HSETNX', key('endpoint', endpoint.id), 'failing', int(now))
  local lost_patience = endpoint.failing and now - tonumber(endpoint.failing) >= tonumber(patience)
  local why = verdict == 'gone' and 'gone' or lost_patience and 'failing' or ''
  if why ~= '' and not endpoint.disabled then disable(endpoint, why) else why = '' end
  return why
end

function verbs.settle(id, attempt, verdict, slow, record, delay, patience, retention)
  local delivery = fetch('delivery', id)
  if not delivery or delivery.attempts ~= attempt then return refuse('lease') end
  if redis.call('ZREM', key('flying', delivery.receiver), id) == 0 then return refuse('lease') end
  for _, lane in ipairs({ 'fast', 'slow' }) do
    redis.call('ZREM', key('flights', lane .. ':' .. tenant_of(delivery.receiver)), id)
  end
  redis.call('RPUSH', key('tried', id), record)
  redis.call('LTRIM', key('tried', id), -KEPT_ATTEMPTS, -1)
  redis.call('HINCRBY', P .. 'verdicts', verdict, 1)
  local disabled = learn(delivery, verdict, slow, patience)
  if verdict == 'retry' then
    wait(delivery, now + delay) -- also where the endpoint is disabled now: it is given up when it is due
  else
    finish(delivery, verdict == 'delivered' and 'delivered' or 'failed', retention)
    reschedule(delivery.receiver)
  end
  return { 'ok', disabled }
end

function verbs.sweep(limit)
  for _, id in ipairs(redis.call('ZRANGE', P .. 'forgetting', '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)) do
    local delivery = fetch('delivery', id)
    if delivery then forget(delivery) else redis.call('ZREM', P .. 'forgetting', id) end
  end
  return { 'ok' }
end

publish(function(verb, ...) return verbs[verb](...) end)
