-- tops - where channels are, in batches; their positions live on
local tops, floor_ms = {}, ARGV[2] + 0

for i = 2, #KEYS, 2 do
	local known, head = call('HMGET', KEYS[i], 'e', 'o'), call('HGET', KEYS[i + 1], '')
	local list = head and cmsgpack.unpack(head) or {'', 0}
	local at = #tops

	if known[1] and call('PTTL', KEYS[i]) < floor_ms then
		call('PEXPIRE', KEYS[i], floor_ms)
	end
	tops[at + 1] = known[1] and known[1] .. '.' .. ARGV[1] or ''
	tops[at + 2] = (known[2] or 0) + 0
	tops[at + 3] = list[1]
	tops[at + 4] = list[2]
end
return tops
