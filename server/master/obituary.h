/*
 * obituary - what the master says of a process that has died: of what, whom it was serving, and what had happened before
 *
 * From the trace that the process left in shared memory, so also of those that were killed and could say nothing themselves.
 */
#ifndef SERVER_MASTER_OBITUARY_H
#define SERVER_MASTER_OBITUARY_H

#include "server/master/child.h"

struct obituary {
	const struct child *child;
	const struct trace_ring *trace;
	int wait_status;
	uint64_t lived_ms, wall_ms;
	bool is_expected;	/* it was told to end */
};

/* Before the child's block is retired. */
void obituary_log(const struct obituary *o);

#endif
