/*
 * pace - when the messages of an open loop are due
 *
 * All senders, of all processes, send in turn: message m of the whole is due at m / rate seconds, and is that of sender
 * m % senders. A process has some senders in a row. Pure: the time is an argument.
 */
#ifndef TESTS_LOAD_PACE_H
#define TESTS_LOAD_PACE_H

#include "common/base/base.h"

struct pace {
	uint64_t began_ns, rate, senders; /* of the whole; rate: per second */
	uint64_t first, count;		  /* the senders here */
	uint64_t round, at;		  /* the next one to send: first + at, for the round-th time */
};

/* In nanoseconds; m < 2^34. */
static inline uint64_t pace_due_ns(const struct pace *p, uint64_t m) {
	return p->began_ns + m / p->rate * 1000000000 + m % p->rate * 1000000000 / p->rate;
}

/* Which of all messages it is. */
static inline uint64_t pace_message(const struct pace *p, uint64_t sender, uint64_t round) {
	return round * p->senders + sender;
}

/* Of the next message here; count > 0. */
static inline uint64_t pace_next_ns(const struct pace *p) {
	return pace_due_ns(p, pace_message(p, p->first + p->at, p->round));
}

static inline void pace_advance(struct pace *p) {
	if (++p->at < p->count)
		return;
	p->at = 0;
	p->round++;
}

#endif
