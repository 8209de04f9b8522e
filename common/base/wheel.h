/*
 * wheel - lazily checked deadlines, one per object
 *
 * Why not one libevent timer each: a deadline that is postponed with every received byte costs an assignment here, and 24 bytes
 * instead of a heap entry. A deadline fires up to WHEEL_TICK_MS late, never early. Pure: the time is an argument.
 */
#ifndef COMMON_BASE_WHEEL_H
#define COMMON_BASE_WHEEL_H

#include "common/base/list.h"

enum { WHEEL_TICK_MS = 100, WHEEL_SLOTS = 512 };

/* Embedded by its user. */
struct deadline {
	struct list link;
	uint32_t tick;	/* due when the wheel has reached this tick; 0: not set */
};

struct wheel {
	struct list slot[WHEEL_SLOTS];
	uint64_t start_ms;
	uint32_t now;	/* ticks since start_ms, >= 1 */
};

/* May set, clear or free any deadline. The one that fired is cleared already. */
typedef void (*wheel_fn)(struct deadline *d, void *arg);

void wheel_init(struct wheel *w, uint64_t now_ms);
void deadline_init(struct deadline *d);
/* Sets or moves. Later than now: O(1), and just an assignment when it moves to later. */
void deadline_set(struct wheel *w, struct deadline *d, uint64_t at_ms);
void deadline_clear(struct deadline *d);
/* Calls fn for everything that is due. */
void wheel_run(struct wheel *w, uint64_t now_ms, wheel_fn fn, void *arg);

static inline bool deadline_is_set(const struct deadline *d) {
	return d->tick != 0;
}

#endif
