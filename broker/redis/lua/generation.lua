-- generation - the generation of this server: another one whenever history may have been lost
local id, address, is_proven, fresh = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local known = redis.call('HMGET', KEYS[1], 't', 'r', 'a')
local text = known[1]

-- A promoted replica has our keys, but perhaps not the newest; so may a server that came back from its disk.
if not text or (known[2] ~= id and not (is_proven and known[3] == address)) then
	text = fresh
end
if text ~= known[1] or known[2] ~= id or known[3] ~= address then
	redis.call('HSET', KEYS[1], 't', text, 'r', id, 'a', address)
end
return text
