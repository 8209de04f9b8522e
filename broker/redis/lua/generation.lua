-- generation - the generation of this server: another one whenever history may have been lost
local id, address, proven, fresh = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = redis.call('HMGET', KEYS[1], 't', 'r', 'a', 'p')
local text = known[1]

-- A promoted replica has our keys, but perhaps not the newest. So may a server that came back from its disk, unless it wrote everything
-- there before, and does so now.
if not text or (known[2] ~= id and not (proven == '1' and known[4] == '1' and known[3] == address)) then
	text = fresh
end
if text ~= known[1] or known[2] ~= id or known[3] ~= address or known[4] ~= proven then
	redis.call('HSET', KEYS[1], 't', text, 'r', id, 'a', address, 'p', proven)
end
return text
