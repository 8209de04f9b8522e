-- leave - a node has a member no more
local channel, node, member = ARGV[2], ARGV[3], ARGV[4]

call('SREM', KEYS[5], hold_of(channel, member))
return depart({KEYS[2], KEYS[3], KEYS[4]}, node, member, ARGV[5], ARGV[6], ARGV[7])
