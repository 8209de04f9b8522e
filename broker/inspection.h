/*
 * inspection - questions of the admin process that all workers of this host answer, and their answers put together
 *
 * Does:      gives a question a number, waits for the links that were asked, one second at most, and adds up what they say.
 * Does not:  send: who is asked and who is told is the router's.
 * Bounds:    INSPECTIONS_MAX under way; of the records as many as an answer has room for, the others are counted.
 * Lifetime:  struct inspections is embedded by the router.
 */
#ifndef BROKER_INSPECTION_H
#define BROKER_INSPECTION_H

#include "broker/engine.h"
#include "common/base/list.h"

enum { INSPECTIONS_MAX = 16, INSPECTION_MS = 1000 };

/* Called once for each question that was begun, with the answer in which everything but `request` is filled in; borrowed until it returns. */
typedef void (*inspection_fn)(struct ticket t, struct ipc_inspection *answer, void *arg);

struct inspections {
	struct list under_way;	/* deadlines rising */
	size_t count;
	uint32_t last_number;
	size_t room;		/* bytes of records in an answer */
	inspection_fn fn;
	void *arg;
};

struct inspection;

void inspections_init(struct inspections *is, size_t room, inspection_fn fn, void *arg);
/* Those under way are not answered any more. */
void inspections_fini(struct inspections *is);
/* links_max: how many may be asked. NULL: there are too many under way. Owned by `is`. */
struct inspection *inspections_begin(struct inspections *is, struct ticket t, size_t links_max, uint64_t now_ms);
/* What the workers are to be asked under. */
uint32_t inspection_number(const struct inspection *i);
/* This link is asked. */
void inspection_await(struct inspection *i, uint64_t link);
/* All have been asked: if that was nobody, it is answered now. */
void inspections_asked(struct inspections *is, struct inspection *i);
/* A link answers; what is not waited for (any more) is ignored. */
void inspections_take(struct inspections *is, uint64_t link, const struct ipc_inspected *m);
/* It will not answer. */
void inspections_forget(struct inspections *is, uint64_t link);
/* Those that have waited long enough are answered with what came. */
void inspections_tick(struct inspections *is, uint64_t now_ms);

#endif
