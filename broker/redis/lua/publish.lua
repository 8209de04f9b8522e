-- publish - numbers a publication, keeps it and hands it out; once per key
--
-- The hot path: no call, no number as a text and no table more than it takes. The first write is one that Redis refuses when its
-- memory is full, so that nothing has been done then.
local meta, stream = KEYS[2], KEYS[3]
local key, data = ARGV[4], ARGV[6]
local count_max, bytes_max = ARGV[8] + 0, ARGV[9] + 0
local floor, format = math.floor, string.format
local known = call('HMGET', meta, 'e', 'o', 'b', 'l', 'x')
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)
local epoch, offset, bytes, gone, renewed = known[1], 1, 0, 0, 0

if epoch then
	offset, bytes, gone, renewed = known[2] + 1, known[3] + 0, known[4] + 0, (known[5] or 0) + 0
else
	epoch = ARGV[2]
end
local offset_text = format('%d', offset)
local reported = epoch .. '.' .. ARGV[1]

if key ~= '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' and not call('SET', KEYS[4], epoch .. ' ' .. offset_text, 'PX', ARGV[11], 'NX') then
	local first_epoch, first_offset = string.match(call('GET', KEYS[4]), '^(.*) (%d+)$')

	return {1, first_epoch .. '.' .. ARGV[1], first_offset + 0}
end

local payload = struct.pack('>BBc0I8I8c1c16c0', 80, #reported, reported, offset, now, ARGV[5], key, data)
local is_kept = ARGV[7] == '1' and count_max > 0 and #payload <= bytes_max
-- A stream may be made anew; what meta counts lives as long as meta.
local is_due = now - renewed >= 30000 or now < renewed or (is_kept and bytes == gone)
local bytes_text = known[3] or '0'

if is_kept then
	bytes = bytes + #payload
	bytes_text = format('%d', bytes)
end
if known[1] then
	call('HSET', meta, 'o', offset_text, 'b', bytes_text)
else
	call('HSET', meta, 'e', epoch, 'o', offset_text, 'b', bytes_text, 'l', 0)
	-- What an earlier life has left.
	call('DEL', stream)
	add_name(KEYS[5], ARGV[3], string.sub(meta, 1, -3 - #ARGV[3]))
end

if is_kept then
	-- Trimming by count walks over what is deleted already: now and then, with an eighth too much meanwhile.
	if offset % (floor(count_max / 8) + 1) == 0 then
		call('XADD', stream, 'MAXLEN', count_max, offset_text, 'd', payload, 'b', bytes_text)
	else
		call('XADD', stream, offset_text, 'd', payload, 'b', bytes_text)
	end
end

-- Twice a minute: so meta outlives the keys, and the entries that are young enough.
if is_due then
	local history_ms = ARGV[10] + 0
	local meta_ms = math.max(history_ms, ARGV[11] + 0) + 60000

	call('HSET', meta, 'x', now)
	if call('PTTL', meta) < meta_ms then
		call('PEXPIRE', meta, meta_ms)
	end
	call('PEXPIRE', stream, history_ms + 30000)
end

-- What is gone by count was not counted: the first entry tells. Entries rise in offset, in bytes and in time.
if is_due or bytes - gone > bytes_max then
	local first = call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
	local oldest = now - ARGV[10]

	gone = bytes
	if first then
		local low, high = string.match(first[1], '^%d+') + 0, offset
		local from, start = bytes - bytes_max, low

		gone = first[2][4] - #first[2][2]
		if gone < from then
			-- An eighth more, so that this is not to be done again at once.
			from = from + floor(bytes_max / 8)
		end
		while low < high do
			local middle = floor((low + high) / 2)
			local entry = call('XRANGE', stream, middle, '+', 'COUNT', 1)[1]
			local d = entry and entry[2][2]

			if d and (entry[2][4] - #d < from or struct.unpack('>I8', d, string.byte(d, 2) + 11) < oldest) then
				low = string.match(entry[1], '^%d+') + 1
				gone = entry[2][4] + 0
			else
				high = middle
			end
		end
		if low > start then
			call('XTRIM', stream, 'MINID', low)
		end
	end
	call('HSET', meta, 'l', gone)
end
call('PUBLISH', ARGV[12], payload)
return {0, reported, offset}
