-- fill - what is behind the positions that somebody has, of publications and of who came and went
local meta, stream, who, events = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, offset, heard_ms, life, number = ARGV[2], ARGV[3] + 0, ARGV[4] + 0, ARGV[5], ARGV[6] + 0
local limit, bytes = ARGV[7] + 0, ARGV[8] + 0
local known = call('HMGET', meta, 'e', 'o')
local current, top = '', 0
local found, happened = {}, {}

if known[1] then
	local oldest = now_ms() - ARGV[9]
	local from = offset + 1

	current, top = known[1] .. '.' .. ARGV[1], known[2] + 0
	if epoch ~= current then
		-- What was heard of another life of the channel is not younger than the last that was heard of it.
		from = 1
		oldest = math.max(oldest, heard_ms + 1)
	end
	if from <= top then
		found = rising(stream, first_since(stream, from, top, oldest), limit, bytes, 1)
	end
end

local head = call('HGET', who, '')
local list = head and cmsgpack.unpack(head) or {'', 0}
-- When nobody was there, all who came are news.
if (list[1] == life or life == '') and number < list[2] then
	happened = rising(events, number + 1, limit, bytes, 1)
end
return {current, top, found, list[1], list[2], happened}
