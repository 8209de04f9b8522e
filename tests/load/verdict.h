/*
 * verdict - did everything arrive, but for what is allowed?
 *
 * Pure. Each counter is judged by itself: what is allowed of one hides nothing of another.
 */
#ifndef TESTS_LOAD_VERDICT_H
#define TESTS_LOAD_VERDICT_H

#include "tests/load/shared.h"

/* lost_ok: connections refused or lost that may be; reset_ok: those who may be told that what they missed is not recovered */
static inline bool verdict_is_good(const struct counters *n, uint64_t lost_ok, uint64_t reset_ok) {
	return n->refused + n->lost <= lost_ok && n->resets <= reset_ok && n->missing == 0 && n->duplicates == 0 && n->errors == 0 &&
	       n->unanswered == 0 && n->not_back == 0;
}

#endif
