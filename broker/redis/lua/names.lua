-- names - the names of all channels: of publish and enter, which add to them

-- Four others are looked at for each new one, so that forgotten names never get many.
local function add_name(names, channel, prefix)
	call('ZADD', names, 0, channel)
	for _, name in ipairs(call('ZRANDMEMBER', names, 4)) do
		if call('EXISTS', prefix .. 'm:' .. name, prefix .. 'w:' .. name) == 0 then
			call('ZREM', names, name)
		end
	end
end
