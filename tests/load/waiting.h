/*
 * waiting - numbers that wait for their times, the next one first: a heap
 *
 * Pure: the time is an argument.
 */
#ifndef TESTS_LOAD_WAITING_H
#define TESTS_LOAD_WAITING_H

#include "common/base/base.h"

struct waiting_one {
	uint64_t due;
	uint32_t number;
};

/* one[i] is not due later than one[2 i + 1] and one[2 i + 2]. */
struct waiting {
	struct waiting_one *one;
	uint32_t count, room;
};

void waiting_init(struct waiting *w, uint32_t most);
void waiting_fini(struct waiting *w);
/* count < most */
void waiting_add(struct waiting *w, uint64_t due, uint32_t number);
/* When the next one is due; UINT64_MAX: nobody waits. */
uint64_t waiting_next(const struct waiting *w);
/* The next one; count > 0. */
uint32_t waiting_take(struct waiting *w);

#endif
