-- members - who is there, by pages
local found, has_more = {}, 0

if call('EXISTS', KEYS[2]) == 1 then
	found, has_more = list_members(KEYS[2], KEYS[3], ARGV[2] + 0, ARGV[4] + 0, ARGV[5] + 0)
end
return {call('ZCARD', KEYS[3]), has_more, found}
