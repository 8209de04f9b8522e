-- depart - what leave and beat share

-- The node has the member no more: {1 when nobody has now, 0; member count}. keys: who, order, events.
local function depart(keys, node, member, pubsub, kept, empty_ms)
	local who = keys[1]
	local packed = call('HGET', who, member)
	local m = packed and cmsgpack.unpack(packed)
	local others = {}

	for _, holder in ipairs(m and m[4] or {}) do
		if holder ~= node then
			others[#others + 1] = holder
		end
	end
	if not m or #others == #m[4] then
		return {0, call('ZCARD', keys[2])}
	end
	if #others > 0 then
		m[4] = others
		call('HSET', who, member, cmsgpack.pack(m))
		return {0, call('ZCARD', keys[2])}
	end
	call('HDEL', who, member)
	call('ZREM', keys[2], member)

	local list, count = cmsgpack.unpack(call('HGET', who, '')), call('ZCARD', keys[2])

	list[2] = list[2] + 1
	call('HSET', who, '', cmsgpack.pack(list))
	tell(76, list, keys[3], pubsub, kept, count, member, m[3])
	if count == 0 then
		-- Its event numbers go on if somebody comes soon.
		call('PEXPIRE', who, empty_ms)
		call('PEXPIRE', keys[3], empty_ms)
	end
	return {1, count}
end
