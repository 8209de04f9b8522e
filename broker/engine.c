/* engine - what all engines have in common: what a channel is, and how much of it is kept */
#include "broker/engine.h"

/* As long as somebody can be banned, and more orders than are given in that time. */
#define MODERATION_BOUNDS ((struct history_bounds){ 10000, (size_t)4 << 20, (uint64_t)IPC_MODERATION_SECONDS_MAX * 1000 })

bool engine_is_room(struct slice channel) {
	return slice_starts_with(channel, IPC_ROOM_PREFIX);
}

struct history_bounds engine_history_bounds(const struct engine_limits *limits, struct slice channel) {
	if (slice_eq_text(channel, IPC_MODERATION_CHANNEL))
		return MODERATION_BOUNDS;
	return (struct history_bounds){ limits->history_count, limits->history_bytes, limits->history_ms };
}
