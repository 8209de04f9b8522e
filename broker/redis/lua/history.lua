-- history - what read and fill share: how a stream's entries are found, {id, {'d', payload, 'b', bytes}}

-- Numbers are exact as arguments of a call.
local function now_ms()
	local time = call('TIME')

	return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function offset_of(entry)
	return string.match(entry[1], '^%d+') + 0
end

local function time_of(entry)
	local payload = entry[2][2]

	return (struct.unpack('>I8', payload, string.byte(payload, 2) + 11))
end

-- The first offset from `low` on whose entry is of `oldest` or later; entries rise in offset and in time.
local function first_since(stream, low, top, oldest)
	local high = top + 1
	local middle = low

	while low < high do
		local entry = call('XRANGE', stream, middle, '+', 'COUNT', 1)[1]

		if entry and time_of(entry) < oldest then
			low = offset_of(entry) + 1
		else
			high = middle
		end
		middle = math.floor((low + high) / 2)
	end
	return low
end

-- Payloads of entries from the offset on, rising, as far as limit and bytes go, but never less than at_least; how many; whether there
-- are more; the last one's offset.
local function rising(stream, from, limit, bytes, at_least)
	local found, count, used, last = {}, 0, 0, nil

	repeat
		local part = call('XRANGE', stream, from, '+', 'COUNT', 32)

		for _, entry in ipairs(part) do
			local payload = entry[2][2]

			used = used + #payload
			if count == limit or (used > bytes and count >= at_least) then
				return found, count, true, last
			end
			count = count + 1
			found[count] = payload
			last = offset_of(entry)
		end
		from = last and last + 1
	until #part < 32
	return found, count, false, last
end
