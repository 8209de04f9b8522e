-- check - what every script but `generation` begins with: the caller has to know whom it speaks to
local call, KEYS, ARGV = redis.call, KEYS, ARGV

if call('HGET', KEYS[1], 't') ~= ARGV[1] then
	return redis.error_reply('STALE the generation is another one')
end
