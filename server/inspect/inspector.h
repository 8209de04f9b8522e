/*
 * inspector - a worker's answers to what the admin process asks about its connections
 *
 * Does:      walks over all connections of the process in steps, each in a turn of its own, lists those that are meant, and closes them or
 *            tells them something, if that is asked for; one answer for each question, on the link on which it came.
 * Does not:  decide who may ask (only admin processes can, the broker sees to it), or log: whoever orders logs.
 * Bounds:    INSPECT_WAITING_MAX questions, one of them under way; INSPECT_ANSWER_BYTES of an answer. Further connections are only counted.
 */
#ifndef SERVER_INSPECT_INSPECTOR_H
#define SERVER_INSPECT_INSPECTOR_H

#include "server/hub/hub.h"
#include "server/inspect/who.h"

enum { INSPECT_WAITING_MAX = 32, INSPECT_ANSWER_BYTES = 1 << 20, INSPECT_SLOWEST_MAX = 100, INSPECT_REASON_MAX = 96 };

struct slow_reader;

/* Embedded by its process. */
struct inspector {
	struct hub *hub;
	struct conns *conns;
	uint32_t slot;
	struct list waiting;		/* struct inspect_task: the first is under way */
	size_t waiting_count;
	struct conns_walk walk;
	struct evloop_timer step;
	struct who who;			/* who is meant by the first */
	uint32_t matched, done;
	struct buf found;		/* records */
	struct slow_reader *slowest;	/* owned; the slowest so far, slow_count of them */
	size_t slow_count;
};

/* Borrows both for life. slot: of this worker. */
void inspector_start(struct inspector *i, struct hub *hub, struct conns *conns, uint32_t slot);
/* Before connections and hub are freed. */
void inspector_stop(struct inspector *i);

#endif
