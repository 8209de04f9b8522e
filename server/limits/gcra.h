/*
 * gcra - a rate in one 64-bit word (generic cell rate algorithm), changed by one compare-and-swap
 *
 * The word: nanoseconds of the monotonic clock at which nothing would be owed any more (the theoretical arrival time), shifted left by one; the
 * lowest bit says that the client was told to slow down. All zeros: nothing was ever taken.
 */
#ifndef SERVER_LIMITS_GCRA_H
#define SERVER_LIMITS_GCRA_H

#include <stdatomic.h>

#include "server/limits/limits.h"

struct gcra {
	uint64_t scale;		/* nanoseconds that one unit costs, times 2^24; 0: no limit */
	uint64_t tolerance_ns;	/* what may be owed: a burst */
};

/* `limit` units in `period_s`, of which `burst` may come at once. limit 0: no limit. */
struct gcra gcra_make(uint64_t limit, uint64_t period_s, uint64_t burst);
/* Costs more than a burst cost a burst. Not LIMIT_OK: in *wait_ms, at least 1, is when it would have been possible. */
enum limit_verdict gcra_take(_Atomic uint64_t *word, const struct gcra *g, uint64_t cost, uint64_t now_ms, uint64_t *wait_ms);
/* The same, but nothing is taken, and nobody told to slow down. */
enum limit_verdict gcra_look(const _Atomic uint64_t *word, const struct gcra *g, uint64_t cost, uint64_t now_ms, uint64_t *wait_ms);
/* What is owed; 0: the word says nothing. */
uint64_t gcra_owed_ns(uint64_t word, uint64_t now_ms);

#endif
