-- channels - those whose names begin so, sorted, by pages; names whose channels have expired go
local names, prefix, after, limit, keys = KEYS[2], ARGV[2], ARGV[3], ARGV[4] + 0, ARGV[5]
-- Looked at in one call: some tens of milliseconds.
local budget = 10000

-- As Redis sorts, byte by byte: Lua's < asks the locale.
local function is_below(a, b)
	for i = 1, #b do
		local x, y = string.byte(a, i) or -1, string.byte(b, i)

		if x ~= y then
			return x < y
		end
	end
	return false
end

local from = prefix == '' and '-' or '[' .. prefix
if after ~= '' and not is_below(after, prefix) then
	from = '(' .. after
end
local found, count = {}, 0
while true do
	local part = call('ZRANGEBYLEX', names, from, '+', 'LIMIT', 0, 100)

	for _, name in ipairs(part) do
		local known = call('HMGET', keys .. 'm:' .. name, 'e', 'o')

		from = '(' .. name
		if string.sub(name, 1, #prefix) ~= prefix then
			return {0, found}
		end
		if not known[1] and call('EXISTS', keys .. 'w:' .. name) == 0 then
			call('ZREM', names, name)
		elseif count == limit then
			return {1, found}
		else
			found[4 * count + 1] = name
			found[4 * count + 2] = known[1] and known[1] .. '.' .. ARGV[1] or ''
			found[4 * count + 3] = (known[2] or 0) + 0
			found[4 * count + 4] = call('ZCARD', keys .. 'z:' .. name)
			count = count + 1
		end
	end
	budget = budget - #part
	if #part < 100 then
		return {0, found}
	elseif budget <= 0 then
		return {1, found}
	end
end
