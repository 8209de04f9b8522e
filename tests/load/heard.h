/*
 * heard - that each of many listeners has each message of each talker, and has it once
 *
 * Talkers number their messages from 0. Who listens in the middle begins with the first that he hears. Order is not asked for, but
 * looked at: what comes later than 32 messages after its turn counts as missing, and then as come twice.
 */
#ifndef TESTS_LOAD_HEARD_H
#define TESTS_LOAD_HEARD_H

#include "common/base/base.h"

struct heard_one {
	uint32_t next;	 /* the number after the highest one that came; 0: none came */
	uint32_t window; /* bit k: next - 1 - k came */
};

struct heard {
	uint32_t listeners, talkers;
	struct heard_one *one; /* `talkers` for each listener */
	uint64_t missing, twice, out_of_order;
};

void heard_init(struct heard *h, uint32_t listeners, uint32_t talkers);
void heard_fini(struct heard *h);
/* `first`: of the talker's messages, from which on they are asked for. False: it came before. */
bool heard_note(struct heard *h, uint32_t listener, uint32_t talker, uint32_t message, uint32_t first);
/* Does the listener lack the last ones of a talker, who has sent `sent`? Returns how many, for who asks at the end. */
uint32_t heard_lacks(const struct heard *h, uint32_t listener, uint32_t talker, uint32_t first, uint32_t sent);

#endif
