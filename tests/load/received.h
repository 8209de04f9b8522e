/*
 * received - which of some messages each of many clients has got, for proof that each got all of them, and each of them once
 */
#ifndef TESTS_LOAD_RECEIVED_H
#define TESTS_LOAD_RECEIVED_H

#include "common/base/base.h"

struct received {
	uint32_t clients, words;
	uint64_t messages; /* there is room for so many */
	uint64_t *bits;	   /* `words` for each client */
	uint64_t count;	   /* of all clients together */
};

void received_init(struct received *r, uint32_t clients, uint64_t messages);
void received_fini(struct received *r);
/* False: that client has it already. message < messages. */
bool received_note(struct received *r, uint32_t client, uint64_t message) MUST_CHECK;
/* How many clients lack one of the first so many messages. */
uint32_t received_lacking(const struct received *r, uint64_t messages);

#endif
