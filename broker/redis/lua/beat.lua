-- beat - a node is alive; the holds of those that are not are ended
local leases, beats, holds, words = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local node, lease_ms, budget, prefix = ARGV[2], ARGV[3] + 0, ARGV[5] + 0, ARGV[6]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = call('HMGET', beats, 'last', 'quiet')
local last, quiet = (known[1] or 0) + 0, (known[2] or 0) + 0
local ended = 0

-- The first write is one that Redis takes even when its memory is full: that is no reason to let leases end.
call('DEL', words)

-- Nobody had beaten: then all look dead, and it was the server that was away.
if now - last > lease_ms / 2 then
	quiet = now + lease_ms
end
call('HSET', beats, 'last', now, 'quiet', quiet)

-- 0: its holds are being ended.
local had = call('ZSCORE', leases, node)
local is_known = (had and had ~= '0') and 1 or 0

call('ZADD', leases, now + lease_ms, node)
call('SET', words, ARGV[4], 'PX', lease_ms)

-- Ends holds of a node as far as the budget goes; whether that was all.
local function reap(dead)
	local dead_holds = prefix .. 'h:' .. dead

	call('ZADD', leases, 0, dead)
	while budget > 0 do
		local part = call('SPOP', dead_holds, math.min(budget, 100))

		for _, hold in ipairs(part) do
			local length = struct.unpack('>H', hold)
			local channel, member = string.sub(hold, 3, length + 2), string.sub(hold, length + 3)

			depart({prefix .. 'w:' .. channel, prefix .. 'z:' .. channel, prefix .. 'v:' .. channel}, dead, member,
				prefix .. 'c:' .. channel, ARGV[7], ARGV[8])
		end
		ended = ended + #part
		budget = budget - #part
		if #part == 0 then
			call('ZREM', leases, dead)
			return
		end
	end
end

while now >= quiet and budget > 0 do
	local dead = call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1)[1]

	if not dead then
		break
	end
	reap(dead)
end

local said = {}
for _, other in ipairs(call('ZRANGEBYSCORE', leases, string.format('(%.0f', now), '+inf')) do
	said[#said + 1] = call('GET', prefix .. 'j:' .. other) or nil
end
return {is_known, ended, said}
