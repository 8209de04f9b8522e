-- members_list - what read and members share

-- {number, member, info, ..} in the order of their coming, above a number, as far as limit and bytes go; whether there are more.
local function list_members(who, order, after, limit, bytes)
	local found, used = {}, 0

	while true do
		local part = call('ZRANGEBYSCORE', order, string.format('(%.0f', after), '+inf', 'LIMIT', 0, 100)

		for _, member in ipairs(part) do
			local m = cmsgpack.unpack(call('HGET', who, member))

			used = used + #member + #m[3]
			if #found == 3 * limit or used > bytes then
				return found, 1
			end
			after = m[1]
			found[#found + 1] = after
			found[#found + 1] = member
			found[#found + 1] = m[3]
		end
		if #part < 100 then
			return found, 0
		end
	end
end
