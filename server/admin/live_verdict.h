/*
 * live_verdict - is it well, and if not, why: one word and a few sentences, of what was measured in the last minute.
 */
#ifndef SERVER_ADMIN_LIVE_VERDICT_H
#define SERVER_ADMIN_LIVE_VERDICT_H

#include "common/base/slice.h"
#include "server/admin/live_series.h"

/* From good to bad. */
enum live_state {
	LIVE_WELL = 0,
	LIVE_TROUBLE,	/* it serves, but something went wrong in the last minute */
	LIVE_PRESSURE,	/* some are refused, cut off or late */
	LIVE_NOT_READY,
	LIVE_STATES
};

enum { LIVE_REASONS_MAX = 12, LIVE_REASON_BYTES = 256 };

struct live_verdict {
	enum live_state state;
	unsigned count;
	char because[LIVE_REASONS_MAX][LIVE_REASON_BYTES];	/* the worst first */
};

/* What the series does not have. */
struct live_signs {
	struct slice not_ready;		/* what is missing; empty: nothing */
	enum memory_level memory;
	uint64_t redis_queue_bytes;	/* the bound of the queue to Redis */
};

void live_judge(const struct live_series *s, const struct live_signs *signs, struct live_verdict *out);
/* "well", "trouble", .. */
const char *live_state_name(enum live_state state);

#endif
