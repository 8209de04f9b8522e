/*
 * redis_backoff - how long to wait before the next attempt: 50 ms, doubling to 2 s or less, each ± 50 % so that hosts do not come together
 */
#ifndef BROKER_REDIS_REDIS_BACKOFF_H
#define BROKER_REDIS_REDIS_BACKOFF_H

#include "common/base/digest.h"

enum { REDIS_BACKOFF_FIRST_MS = 50, REDIS_BACKOFF_MAX_MS = 2000 };

/* ms zeroed: the next attempt is the first. most_ms: what is doubled to; 0: REDIS_BACKOFF_MAX_MS. */
struct redis_backoff {
	uint64_t ms, most_ms;
};

static inline uint64_t redis_backoff_next(struct redis_backoff *b) {
	uint64_t most = b->most_ms > 0 && b->most_ms < REDIS_BACKOFF_MAX_MS ? b->most_ms : REDIS_BACKOFF_MAX_MS;
	uint32_t random;

	b->ms = b->ms == 0 ? REDIS_BACKOFF_FIRST_MS : b->ms * 2;
	if (b->ms > most)
		b->ms = most;
	random_bytes(&random, sizeof(random));
	return b->ms / 2 + random % (b->ms + 1);
}

#endif
