-- enter - a node has a member from now on
local who, order, events, holds = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local channel, node, member, token, info = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local packed = call('HGET', who, member)

if member == '' then
	return redis.error_reply('ERR a member has a name')
end
if packed then
	local m = cmsgpack.unpack(packed)
	local is_held = false

	if m[2] ~= token then
		return {1, 0, call('ZCARD', order)}
	end
	for _, holder in ipairs(m[4]) do
		is_held = is_held or holder == node
	end
	if not is_held then
		m[4][#m[4] + 1] = node
		call('HSET', who, member, cmsgpack.pack(m))
	end
	call('SADD', holds, hold_of(channel, member))
	return {0, 0, call('ZCARD', order)}
end

local head = call('HGET', who, '')
local list
if head then
	if ARGV[12] ~= '0' and call('ZCARD', order) >= ARGV[12] + 0 then
		return {2, 0, call('ZCARD', order)}
	end
	list = cmsgpack.unpack(head)
else
	-- Numbers of arrivals rise over the lives of a list too, so that nobody is left out who is listed in pages: more than one in a
	-- microsecond never come.
	local time = call('TIME')

	list = {ARGV[8], 0, time[1] * 1000000 + time[2]}
end
if ARGV[7] == '1' then
	list[2] = list[2] + 1
end
list[3] = list[3] + 1
call('HSET', who, '', cmsgpack.pack(list), member, cmsgpack.pack({list[3], token, info, {node}}))
if not head then
	-- What an earlier life has left.
	call('DEL', order, events)
	add_name(KEYS[6], channel, string.sub(who, 1, -3 - #channel))
end
call('ZADD', order, list[3], member)
call('SADD', holds, hold_of(channel, member))

local count = call('ZCARD', order)
if count == 1 then
	call('PERSIST', who)
	call('PERSIST', events)
end
if ARGV[7] == '1' then
	tell(74, list, events, ARGV[9], ARGV[10], count, member, info)
end
return {0, 1, count}
