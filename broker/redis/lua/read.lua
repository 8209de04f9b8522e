-- read - a channel as it is now: position, publications, who is there
local meta, stream, who, order = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local how, epoch, offset = ARGV[2], ARGV[3], ARGV[4] + 0
local limit, bytes, history_ms = ARGV[5] + 0, ARGV[6] + 0, ARGV[7] + 0
local known = call('HMGET', meta, 'e', 'o')

-- Unless Redis takes no more.
if not known[1] and ARGV[10] and type(redis.pcall('HSET', meta, 'e', ARGV[10], 'o', 0, 'b', 0, 'l', 0)) == 'number' then
	call('PEXPIRE', meta, ARGV[12])
	-- What an earlier life has left.
	call('DEL', stream)
	add_name(KEYS[6], ARGV[11], string.sub(meta, 1, -3 - #ARGV[11]))
	known = {ARGV[10], 0}
end
local current = known[1] and known[1] .. '.' .. ARGV[1] or ''
local top = (known[2] or 0) + 0

-- Rising from behind the offset, and how far that is all.
local function since()
	if offset > top then
		return {}, 0
	end
	local from = first_since(stream, offset + 1, top, now_ms() - history_ms)
	local found, count, has_more, last = rising(stream, from, limit, bytes, 0)
	local is_whole = (last or top) == offset + count

	return found, (is_whole and 1 or 0) + (has_more and 2 or 0)
end

-- The last ones below `high`; "+": of all.
local function before(high)
	local oldest = now_ms() - history_ms
	local falling, found, used, flags = {}, {}, 0, nil

	repeat
		local part = call('XREVRANGE', stream, high, '-', 'COUNT', 32)

		for _, entry in ipairs(part) do
			used = used + #entry[2][2]
			if time_of(entry) < oldest then
				flags = 0
			elseif #falling == limit or used > bytes then
				flags = 2
			end
			if flags then
				break
			end
			falling[#falling + 1] = entry[2][2]
			high = offset_of(entry) - 1
		end
	until flags or #part < 32
	for i = #falling, 1, -1 do
		found[#found + 1] = falling[i]
	end
	return found, flags or 0
end

local found, flags = {}, 0
if current ~= '' and how == 'since' and epoch == current then
	found, flags = since()
elseif current ~= '' and how == 'before' and (epoch == '' or offset == 0 or epoch == current) then
	found, flags = before((offset > 0 and offset <= top) and offset - 1 or '+')
end

local list, member_count, members = {'', 0}, 0, {}
local head = call('HGET', who, '')
if head then
	list = cmsgpack.unpack(head)
	member_count = call('ZCARD', order)
	members = list_members(who, order, 0, ARGV[8] + 0, ARGV[9] + 0)
end
return {current, top, flags, found, list[1], list[2], member_count, members}
