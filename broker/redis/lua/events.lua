-- events - what enter, leave and beat share: how an arrival or a departure is told

-- What a node holds: unambiguous, whatever bytes names have.
local function hold_of(channel, member)
	return struct.pack('>Hc0c0', #channel, channel, member)
end

-- list: {life, last event number, last arrival number}, the event's number counted already; its caller keeps it.
local function tell(kind, list, events, pubsub, kept, member_count, member, info)
	local payload = struct.pack('>BBc0I8I4Hc0c0', kind, #list[1], list[1], list[2], member_count, #member, member, info)

	call('XADD', events, 'MAXLEN', kept, list[2], 'd', payload)
	call('PUBLISH', pubsub, payload)
end
